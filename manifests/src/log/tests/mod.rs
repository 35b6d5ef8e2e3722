//! What of the log can be compared with the definitions, known answers and golden files, and what hostile input does.

mod formats;
mod proofs;
mod reference;
mod tree;
