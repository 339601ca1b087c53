//! The call that is being answered, wherever in the code it is answered.
//!
//! What a line says of a call is known in many places: who calls, how many entries, what is about to
//! be changed. Each of them tells it here, and need not be handed anything for that: the record goes
//! with the task, and with [`carry`] into a task that is spawned for the call.

use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::line::AuditRecord;
use super::{Audit, Event};

tokio::task_local! {
    static CURRENT: Arc<Current>;
}

/// A call that is being answered.
pub(in crate::server) struct Current {
    pub(super) audit: Arc<Audit>,
    record: Mutex<AuditRecord>,
    /// It opened a stream, and that is on record.
    is_open: AtomicBool,
}

impl Current {
    pub(super) fn new(audit: Arc<Audit>, record: AuditRecord) -> Self {
        let record = Mutex::new(record);
        let is_open = AtomicBool::new(false);
        Self {
            audit,
            record,
            is_open,
        }
    }

    pub(super) fn opened(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::SeqCst)
    }

    /// What is known by now.
    pub(super) fn record(&self) -> AuditRecord {
        self.record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn tell(&self, what: impl FnOnce(&mut AuditRecord)) {
        what(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Adds to what the line of the call that is being answered says. Does nothing outside a call.
pub(in crate::server) fn tell(what: impl FnOnce(&mut AuditRecord)) {
    CURRENT.try_with(|current| current.tell(what)).ok();
}

/// Puts on record what was noticed about `address` while a call was answered.
pub(in crate::server) fn event(event: Event, address: IpAddr) {
    if let Some(call) = current() {
        call.audit.event(event, Some(address));
    }
}

/// The call that is being answered; `None` outside of one.
pub(in crate::server) fn current() -> Option<Arc<Current>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Runs `work` as a part of `call`.
pub(super) async fn within<F: Future>(call: Arc<Current>, work: F) -> F::Output {
    CURRENT.scope(call, work).await
}

/// Runs `work` as a part of the call that is being answered now, also when it is spawned.
pub(in crate::server) fn carry<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let call = current();
    async move {
        match call {
            Some(call) => within(call, work).await,
            None => work.await,
        }
    }
}
