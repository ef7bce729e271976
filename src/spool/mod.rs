//! The spool: the drop-box directory that the remote application sees, and the interlock.
//!
//! # The promise
//!
//! A name in the spool without a leading dot is always a complete document, and there is at most one that billdrop
//! has offered. The order in which that is kept, each step checked, the first failure ends it:
//!
//! 1. `.NAME.partial` is made (`O_EXCL`), written, given mode and group, synced; its directory entry is synced
//! 2. the ledger says *sealed*: the sequence number is given, the skipped captures and gaps are told
//! 3. `last-document` is replaced; where they are configured the document gets its copy in the archive and its manifest,
//!    both synced
//! 4. `.NAME.partial` is renamed to `NAME`, never over another file; the directory is synced
//! 5. the ledger says *offered*, and the notification lies in its outbox
//!
//! Killed anywhere, the next run finishes or undoes it ([`recover`] has the table). An error of `fsync` is final:
//! the kernel may have dropped the data, so nothing is tried again in the same run.
//!
//! # What lies where
//!
//! | path | what |
//! |---|---|
//! | `SPOOL/NAME` | the offered document |
//! | `SPOOL/.NAME.partial` | a document that is being written or waits for its rename |
//! | `SPOOL/NAME.manifest` | what the document is, in a few lines; counts for nothing |
//! | `SPOOL/NAME.done` | the remote application's word that it has the document, where that is configured |
//! | `STATE/lock` | held by the one capture that runs |
//! | `STATE/ledger.sqlite` | the ledger |
//! | `STATE/last-document` | sequence number and name of the last document, for the day the ledger is lost |
//! | `STATE/deliveries` | what destinations have not got, for the same day |
//! | `STATE/released/NAME` | documents that an operator has moved aside |
//! | `ARCHIVE/NAME`, `ARCHIVE/NAME.zst` | copies that outlive the pickup, see [`archive`](self::Archive) |

mod archive;
mod commit;
mod expiry;
mod lock;
mod manifest;
mod missing;
mod name;
mod place;
mod rebuild;
mod recover;
mod release;
mod resend;
mod wait;

pub use archive::{Archive, CopyError, Found};
pub use commit::{CommitError, Draft, commit};
pub use expiry::{GaveWay, make_room, shrink};
pub use lock::{Lock, Locked};
pub use manifest::{Manifest, SUFFIX as MANIFEST_SUFFIX};
pub use missing::missing;
pub use name::{DocumentName, NamingRule, check_hostname, longest_name, next_stamp};
pub use place::{Entry, Listing, Spool, group_id, prepare_parent};
pub use rebuild::open_ledger;
pub use recover::{Standing, recover, survey};
pub use release::{Released, drop_released, give_up, release};
pub use resend::offer_next;
pub use wait::Watch;
