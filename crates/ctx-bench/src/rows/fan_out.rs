//! How long an entry takes from its acknowledgement to its listeners: to one, and to a thousand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ctx_hub::wire::method::LISTEN;
use serde_json::json;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::publish::{Publisher, runtime};
use crate::Failure;
use crate::bench::Bench;
use crate::hub::Hub;
use crate::link::Link;
use crate::samples::Samples;
use crate::table::{Report, Row};

const LISTENERS: u64 = 1_000;

/// Listeners that share a connection, as those behind a proxy do: what a thousand connections cost
/// this program is not what is measured.
const STREAMS: u64 = 25;

/// From one entry to the next.
const PACE: Duration = Duration::from_millis(10);

/// A thousand listeners against one.
pub(crate) fn measure(bench: &mut Bench, report: &mut Report) -> Result<(), Failure> {
    let entries = bench.size(500, 100);
    let hub = bench.hub(0)?;
    let (mut one, mut many) = (Samples::default(), Samples::default());
    let mut head = 0;
    for _ in 0..bench.rounds(4, 2) {
        one.extend(fan_out(&hub, &mut head, 1, entries)?);
        many.extend(fan_out(&hub, &mut head, LISTENERS, entries)?);
    }
    report.row(
        Row::new(
            "fan-out to 1000 listeners, p99",
            many.percentile(99) * 1e3,
            "ms",
        )
        .against("to one listener, p99", one.percentile(99) * 1e3)
        .at_most(20.0),
    );
    Ok(())
}

/// How long after its acknowledgement each of `entries` entries was at each of `listeners`.
fn fan_out(hub: &Hub, head: &mut u64, listeners: u64, entries: u64) -> Result<Samples, Failure> {
    // Listeners on a thread of their own: the publisher is not to wait for them here.
    let listening = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let opened = Arc::new(AtomicU64::new(0));
    let first = *head;
    let token = runtime()?.block_on(hub.register(&format!("listener-{first}-{listeners}")))?;
    let links = listening.block_on(open(hub, listeners))?;
    for number in 0..listeners {
        let Some(link) = links.get(usize::try_from(number / STREAMS)?) else {
            return Err("a link is missing".into());
        };
        let listener = listen(
            Arc::clone(link),
            token.clone(),
            (first, entries),
            Arc::clone(&opened),
            arrived.clone(),
        );
        drop(listening.spawn(listener));
    }
    drop(arrived);
    while opened.load(Ordering::Relaxed) < listeners {
        std::thread::sleep(PACE);
    }
    let acknowledged = runtime()?.block_on(publish(hub, first, entries))?;
    *head += entries;
    let mut took = Samples::default();
    for _ in 0..listeners {
        let times: Vec<Instant> = arrivals.blocking_recv().ok_or("a listener failed")??;
        for (arrived, acknowledged) in times.iter().zip(&acknowledged) {
            // Zero for one that was there before its acknowledgement.
            took.push(arrived.saturating_duration_since(*acknowledged));
        }
    }
    Ok(took)
}

async fn open(hub: &Hub, listeners: u64) -> Result<Vec<Arc<Link>>, Failure> {
    let mut dialling = JoinSet::new();
    for _ in 0..listeners.div_ceil(STREAMS) {
        let address = hub.address();
        dialling.spawn(async move { Link::dial(address, 1 << 20, None).await });
    }
    let mut links = Vec::new();
    while let Some(link) = dialling.join_next().await {
        links.push(Arc::new(link??));
    }
    Ok(links)
}

/// Tells when each of `count` entries after `since` has come.
async fn listen(
    link: Arc<Link>,
    token: String,
    (since, count): (u64, u64),
    opened: Arc<AtomicU64>,
    tell: mpsc::UnboundedSender<Result<Vec<Instant>, Failure>>,
) {
    let listening = async {
        let message = json!({ "types": [], "since_sequence": since }).to_string();
        let mut messages = link.open(LISTEN, &token, message).await?;
        opened.fetch_add(1, Ordering::Relaxed);
        let mut times = Vec::new();
        for _ in 0..count {
            messages.next().await?.ok_or("the stream ended")?;
            times.push(Instant::now());
        }
        Ok(times)
    };
    // Nobody listens any more when the measurement has failed.
    tell.send(listening.await).ok();
}

/// Publishes at the pace; when each entry was acknowledged.
async fn publish(hub: &Hub, name: u64, entries: u64) -> Result<Vec<Instant>, Failure> {
    let mut publisher = Publisher::new(hub, &format!("publisher-{name}")).await?;
    let mut tick = tokio::time::interval(PACE);
    let mut acknowledged = Vec::new();
    for _ in 0..entries {
        tick.tick().await;
        publisher.publish(1).await?;
        acknowledged.push(Instant::now());
    }
    Ok(acknowledged)
}
