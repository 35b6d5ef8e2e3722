//! What a contact is answered from facts that are made by hand: in order, and after a restore.

mod answer;
mod fixture;
mod resume;
