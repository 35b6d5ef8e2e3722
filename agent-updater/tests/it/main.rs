//! The agent against a Primary Server that is played, so that it can lose answers, lie, and cut lines. The vendor's
//! repository behind it is real.

#![expect(clippy::unwrap_used, reason = "tests")]

mod contact;
mod enroll;
mod hostile;
mod site;
mod update;
