//! The contact: shows that this computer is there, reports, and receives lease and assignment.
//!
//! Invariants: the contact is on disk before it is sent, and until it is answered it is sent again byte by byte, so a
//! lost answer costs nothing; the parts of an answer are on disk before the nonce moves on; each part is verified with
//! the key that the vendor's grants name, and judged, before it is kept. A refused part never replaces a held one.
//! When the server says that it knows less than it signed, the same contact is sent once more with lease and assignment
//! beside it, so that a restored server learns of them and resumes this computer.
//!
//! # What an unsigned answer can do at worst
//! An answer is authenticated by the pinned TLS connection only, so whoever holds a server's TLS key writes it. Nothing
//! unsigned is believed beyond this computer's own numbers, and nothing that lasts is decided on it:
//!
//! | unsigned | at worst |
//! |---|---|
//! | `ContactAnswer.grants`, `lease`, `assignment`, `server_list` | signed inside; a wrong one is refused with a sentence, and the held one stays. 64 grants at the most are looked at |
//! | `checkpoint` | verified with the certified log key. Missing or wrong: a fork is reported and shown; lease, assignment and `run` are untouched |
//! | `consistency` | proves or does not prove; as above |
//! | `receipt` | opaque; over 200 bytes it is dropped. The next contact carries it back: a wrong one costs this computer its place if the server is restored, which the server can cost it anyway |
//! | `access_token` | bounded, plain text, never shown. A wrong one makes reads fail until the next contact |
//! | `token_valid_secs` | capped at a day. Too short: more contacts, which the pauses of the wake stream space out to one in five minutes; too long: the server refuses the token, and a contact follows |
//! | `acknowledged_report` | capped at the highest id that this computer gave; a lower one than before changes nothing. At worst reports that wait are taken for stored |
//! | `notice` | 500 characters without control characters, marked as a note, replaced by the next answer |
//! | a missing part | nothing new; what is held stays |
//! | `EnrollAnswer` | `enrolled`, `grants` and `log_key` are signed inside; `access_token` as above. A wrong one: not enrolled |
//! | `Problem.code` | makes the agent show what the server itself signed, once per contact; `copy_kept` makes it ask the server to take another key, which counts only once the site signed it; never deletes, resets or closes anything. Contact counts as lost, which holds uploads, as silence would |
//! | `Problem.message`, `hint` | 500 characters each, without control characters, shown |
//! | status of HTTP | 200 or a refusal; a redirect is not followed |
//! | `Content-Length`, `Transfer-Encoding` | bodies are counted while they are read: 8 MiB for an answer, 64 KiB for a refusal, the signed length for a download |
//! | `Content-Range` | must be where the kept part of a delta ends; else the delta is fetched anew |
//! | `Retry-After`, `Date`, `Location`, `Set-Cookie` and all other headers | not read |
//! | silence, or bytes that drip | ends by the time limits of the request; from a server beside the first after 20 seconds in all, for whatever it makes this computer ask |
//! | wake events | cause contacts, ten in a minute at the most; they carry nothing |
//! | metadata, targets, deltas | the vendor's signatures decide |

mod accept;
mod error;
mod log_head;
mod request;
mod run;
mod send;

pub use error::ContactError;
pub(in crate::flows) use error::NONE_ANSWERED;
pub(super) use run::{Answered, contact, outstanding, take};
