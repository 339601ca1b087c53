//! What is printed in the end.

use std::time::Duration;

use serde::Serialize;

use super::publisher::Burst;
use crate::hub::Usage;

/// Everything that was measured and found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) listeners: Listeners,
    pub(crate) publishers: usize,
    /// Distinct ids that were acknowledged.
    pub(crate) entries: usize,
    pub(crate) content_bytes: usize,
    /// Entries that listeners were given and checked, all together.
    pub(crate) delivered: u64,
    pub(crate) phases: Vec<Phase>,
    pub(crate) memory: Memory,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    /// Entries that were not the same for everybody, or not what was acknowledged.
    pub(crate) different: u64,
    pub(crate) violations: Vec<String>,
    pub(crate) seconds: f64,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Listeners {
    pub(crate) opened: usize,
    pub(crate) own_connections: usize,
    pub(crate) shared_connections: usize,
    pub(crate) streams_per_shared_connection: usize,
    pub(crate) slow: usize,
    pub(crate) stalled: usize,
    pub(crate) frozen: usize,
    /// Streams that ended and were opened again from where they were.
    pub(crate) reopened: u64,
    pub(crate) limited_by: Option<String>,
}

/// A time in which every publisher published.
#[derive(Debug, Serialize)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) acknowledged: usize,
    /// Publishes that were sent again because nothing was acknowledged.
    pub(crate) repeated: usize,
    pub(crate) seconds: f64,
    pub(crate) acknowledged_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Throughput beside the one of the first phase, in which nobody listened.
    pub(crate) ratio_to_alone: f64,
    /// Until those who read had everything.
    pub(crate) caught_up_seconds: f64,
    pub(crate) delivered: u64,
    pub(crate) delivered_per_second: f64,
    pub(crate) hub_cpu_seconds: f64,
    pub(crate) hub_resident_kib: u64,
}

/// Memory of the hub.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Memory {
    /// Before anybody came.
    pub(crate) at_rest_kib: u64,
    /// With every stream open and nothing published since.
    pub(crate) listening_kib: u64,
    pub(crate) peak_kib: u64,
    /// What each listener added to the hub at rest while nothing happened, in bytes.
    pub(crate) per_idle_listener_bytes: u64,
    /// What each listener added to the hub at rest, at the worst, in bytes.
    pub(crate) per_listener_bytes_at_peak: u64,
    /// What the hub may take.
    pub(crate) bound_kib: u64,
}

impl Phase {
    pub(crate) fn new(name: &'static str, burst: &Burst, first: Option<&Self>) -> Self {
        let seconds = burst.took.as_secs_f64();
        let per_second = rate(burst.waits.len(), burst.took);
        Self {
            name,
            acknowledged: burst.waits.len(),
            repeated: burst.repeated,
            seconds,
            acknowledged_per_second: per_second,
            p50_ms: quantile(&burst.waits, 50),
            p99_ms: quantile(&burst.waits, 99),
            ratio_to_alone: first.map_or(1.0, |first| per_second / first.acknowledged_per_second),
            caught_up_seconds: 0.0,
            delivered: 0,
            delivered_per_second: 0.0,
            hub_cpu_seconds: 0.0,
            hub_resident_kib: 0,
        }
    }

    /// Adds what was seen until listeners had caught up.
    pub(crate) fn settle(&mut self, took: Duration, delivered: u64, before: Usage, after: Usage) {
        self.caught_up_seconds = took.as_secs_f64();
        self.delivered = delivered;
        self.delivered_per_second = rate(usize::try_from(delivered).unwrap_or(0), took);
        self.hub_cpu_seconds = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        self.hub_resident_kib = after.resident_kib;
    }
}

fn rate(count: usize, took: Duration) -> f64 {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    f64::from(count) / took.as_secs_f64().max(f64::EPSILON)
}

/// A quantile of sorted `waits`, in milliseconds.
fn quantile(waits: &[Duration], percent: usize) -> f64 {
    let index = waits.len().saturating_sub(1) * percent / 100;
    waits
        .get(index)
        .map_or(0.0, |wait| wait.as_secs_f64() * 1_000.0)
}
