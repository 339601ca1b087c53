//! What a hub's size changes: a publish, a page, its start and its memory.

use std::time::{Duration, Instant};

use ctx_hub::wire::method::{LISTEN, SYNC};
use serde_json::json;

use super::publish::{HEALTH, Publisher, runtime};
use crate::Failure;
use crate::bench::{Bench, OwnHub, utf8};
use crate::hub::Hub;
use crate::link::Link;
use crate::plot::Panel;
use crate::samples::Samples;
use crate::table::{Report, Row};

/// How often in a row the same is done.
const RUN: u64 = 50;

/// Entries of a page.
const PAGE: u64 = 100;

/// Listeners, and publishers, while the memory is looked at.
const LISTENERS: usize = 100;
const PUBLISHERS: usize = 16;

/// A hub of some size, and what it took.
struct Sized {
    entries: u64,
    publisher: Publisher,
    published: u64,
    publish: Samples,
    page: Samples,
    // Last: it ends after whoever calls it.
    _hub: OwnHub,
}

/// What one thing cost at a hub, in microseconds.
type Cost = fn(&Sized) -> f64;

/// A publish and a page of a hub with many entries, against one with few.
pub(crate) fn measure(bench: &mut Bench, report: &mut Report) -> Result<(), Failure> {
    let sizes = match bench.size(1, 0) {
        0 => vec![1_000, 100_000],
        _ => vec![1_000, 200_000, 1_000_000],
    };
    let runtime = runtime()?;
    let mut hubs = Vec::new();
    for entries in sizes {
        let hub = bench.hub(entries)?;
        hubs.push(runtime.block_on(Sized::new(hub, entries))?);
    }
    for _ in 0..bench.rounds(20, 6) {
        for hub in &mut hubs {
            runtime.block_on(hub.round())?;
        }
    }
    let (Some(few), Some(many)) = (hubs.first(), hubs.last()) else {
        return Err("no hub was measured".into());
    };
    let costs: [(&str, Cost); 2] = [
        ("publish", |hub| hub.publish.median() * 1e6),
        ("page of 100", |hub| hub.page.median() * 1e6),
    ];
    let mut panel = Panel::new("Growth of the hub", "entries stored", "µs");
    for (name, cost) in costs {
        let row = format!("growth of the hub, {name}, {} stored", many.entries);
        report.row(
            Row::new(&row, cost(many), "µs")
                .against("with 1000", cost(few))
                .at_most(1.2),
        );
        let curve = hubs.iter().map(|hub| (hub.entries, cost(hub)));
        panel = panel.line(name, curve.collect());
    }
    report.panel(panel);
    Ok(())
}

impl Sized {
    async fn new(hub: OwnHub, entries: u64) -> Result<Self, Failure> {
        let mut publisher = Publisher::new(&hub, "grower").await?;
        // Fills the file of the write-ahead log once.
        let published = 1_200;
        publisher.publish(published).await?;
        Ok(Self {
            entries,
            publisher,
            published,
            publish: Samples::default(),
            page: Samples::default(),
            _hub: hub,
        })
    }

    async fn round(&mut self) -> Result<(), Failure> {
        self.publish.extend(self.publisher.publish(RUN).await?);
        self.published += RUN;
        for _ in 0..RUN {
            self.page.push(self.page().await?);
        }
        Ok(())
    }

    /// Takes the last entries.
    async fn page(&self) -> Result<Duration, Failure> {
        let since = self.entries + self.published - PAGE;
        let message = json!({ "types": [], "since_sequence": since }).to_string();
        let begun = Instant::now();
        let token = self.publisher.token();
        let mut messages = self.publisher.link.open(SYNC, token, message).await?;
        let mut count = 0;
        while messages.next().await?.is_some() {
            count += 1;
        }
        match count {
            PAGE => Ok(begun.elapsed()),
            _ => Err(format!("a page of {count} entries").into()),
        }
    }
}

/// The start of a hub with many entries, until it answers, against that of one with none.
pub(crate) fn start(bench: &mut Bench, report: &mut Report) -> Result<(), Failure> {
    let many = bench.size(1_000_000, 100_000);
    let runtime = runtime()?;
    let (large, none) = (bench.hub_folder(many)?, bench.hub_folder(0)?);
    let mut took = [Samples::default(), Samples::default()];
    for round in 0..=bench.rounds(30, 10) {
        for (folder, took) in [&large, &none].into_iter().zip(&mut took) {
            let since = Instant::now();
            let hub = Hub::start(bench.ctx(), utf8(folder)?)?;
            runtime.block_on(answers(&hub))?;
            let elapsed = since.elapsed();
            if let Some(fault) = hub.stop()? {
                return Err(fault.into());
            }
            // The first start reads the program and the files from the disk.
            if round > 0 {
                took.push(elapsed);
            }
        }
    }
    let [large, none] = took;
    let name = format!("start of the hub, {many} stored");
    report.row(
        Row::new(&name, large.median() * 1e3, "ms")
            .against("with none", none.median() * 1e3)
            .at_most(1.5),
    );
    Ok(())
}

async fn answers(hub: &Hub) -> Result<(), Failure> {
    let link = Link::dial(hub.address(), 65_535, None).await?;
    link.ask(HEALTH, "", String::new()).await?;
    drop(link);
    // Lets the connection close: a hub that stops would wait for it.
    tokio::task::yield_now().await;
    Ok(())
}

/// The memory of a hub with many entries and 100 listeners while it is published to.
pub(crate) fn memory(bench: &mut Bench, report: &mut Report) -> Result<(), Failure> {
    let many = bench.size(1_000_000, 100_000);
    let secs = bench.size(600, 9);
    let hub = bench.hub(many)?;
    let runtime = runtime()?;
    let resident = runtime.block_on(under_load(&hub, many, secs))?;
    let third = resident.len() / 3;
    let median = |part: Option<&[f64]>| {
        let part: Samples = part.unwrap_or_default().iter().copied().collect();
        part.median()
    };
    let middle = median(resident.get(third..2 * third));
    let last = median(resident.get(2 * third..));
    let name = format!("memory of the hub, {many} stored, 100 listeners");
    let peak = f64::from(u32::try_from(hub.usage().peak_kib)?) / 1024.0;
    report.row(
        Row::new(&name, peak, "MiB")
            .against("bound", 128.0)
            .at_most(1.0),
    );
    let name = format!("memory of the hub, the last third of {secs} s");
    report.row(
        Row::new(&name, last, "MiB")
            .against("the second third", middle)
            .at_most(1.1),
    );
    Ok(())
}

/// The memory in use at each second, in MiB.
async fn under_load(hub: &Hub, head: u64, secs: u64) -> Result<Vec<f64>, Failure> {
    // Ends with this function, and everything that runs in it.
    let mut tasks = tokio::task::JoinSet::<Result<(), Failure>>::new();
    let token = hub.register("listener").await?;
    for _ in 0..LISTENERS {
        let link = Link::dial(hub.address(), 1 << 20, None).await?;
        let message = json!({ "types": [], "since_sequence": head }).to_string();
        let mut messages = link.open(LISTEN, &token, message).await?;
        tasks.spawn(async move {
            while messages.next().await?.is_some() {}
            drop(link);
            Err("a listener was sent away".into())
        });
    }
    for number in 0..PUBLISHERS {
        let mut publisher = Publisher::new(hub, &format!("publisher-{number}")).await?;
        tasks.spawn(async move {
            loop {
                publisher.publish(1).await?;
            }
        });
    }
    let mut resident = Vec::new();
    for _ in 0..secs {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let kib = u32::try_from(hub.usage().resident_kib)?;
        resident.push(f64::from(kib) / 1024.0);
        if let Some(ended) = tasks.try_join_next() {
            ended??;
        }
    }
    Ok(resident)
}
