//! The rules of a Primary Server, pure: no clock, disk, socket, randomness or async. `now` and random values come in
//! as arguments; answers carry their reason.

pub mod activity;
pub mod admission;
pub mod assignment;
pub mod contact;
pub mod enrollment;
pub mod explain;
pub mod grants;
pub mod release;
pub mod review;
pub mod seats;
pub mod summary;
pub mod time_floor;
