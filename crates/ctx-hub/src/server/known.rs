//! Whether what a caller knows of a log is this hub's.
//!
//! A caller learns whether it is, and nothing else: not where two logs part, nor what stands there.

use tonic::Status;

use super::status;
use crate::store::Store;
use crate::types::{Chain, Sequence};
use crate::wire::convert::chain_from_wire;

/// What a caller says that it knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    sequence: Sequence,
    /// `None` when it knows only that the log reached so far.
    chain: Option<Chain>,
}

impl Known {
    /// Reads what the message of a `Sync` or `Listen` says.
    pub(super) fn read(sequence: u64, chain: &str) -> Result<Self, Status> {
        Ok(Self {
            sequence: Sequence::new(sequence),
            chain: chain_from_wire(chain).map_err(status::invalid)?,
        })
    }

    /// Refuses a caller that knows another log than `store`'s. Whoever knows nothing is let in.
    pub(super) async fn check(self, store: &dyn Store) -> Result<(), Status> {
        let head = *store.head().borrow();
        if self.sequence > head {
            return Err(status::shorter_log(head));
        }
        let Some(known) = self.chain else {
            return Ok(());
        };
        let found = store.chain_at(self.sequence).await;
        if found.map_err(status::of_store)? == Some(known) {
            Ok(())
        } else {
            Err(status::other_log(head))
        }
    }
}
