//! What it costs to publish: one entry after the other, and 64 clients at a time.

use std::io::Write as _;
use std::time::{Duration, Instant};

use ctx_hub::wire::method::PUBLISH;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::Failure;
use crate::bench::{Bench, CONTENT, utf8};
use crate::entries;
use crate::hub::Hub;
use crate::link::Link;
use crate::samples::Samples;
use crate::table::{Report, Row};

/// The standard's call for whether a server is well: nothing is asked, next to nothing answered.
pub(super) const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// Publishes before any is counted: as many as fill the write-ahead log's file once. From then on
/// it is written over and not made longer.
const WARM: u64 = 1_200;

/// How often in a row the same is done.
const RUN: u64 = 100;

/// Clients that publish at a time.
const CROWD: usize = 64;

/// A client that publishes, each time another entry.
pub(super) struct Publisher {
    pub(super) link: Link,
    token: String,
    name: String,
    number: u64,
}

/// One at a time, and the crowd against it.
pub(crate) fn measure(bench: &mut Bench, report: &mut Report) -> Result<(), Failure> {
    let hub = bench.hub(0)?;
    let runtime = runtime()?;
    let one = one_at_a_time(bench, &hub, &runtime, report)?;
    let secs = Duration::from_secs(bench.size(60, 10));
    let crowd = runtime.block_on(crowd(&hub, secs))?;
    let rate = f64::from(u32::try_from(crowd.len())?) / secs.as_secs_f64();
    report.row(
        Row::new("publish, crowd of 64", rate, "/s")
            .against("one at a time", 1.0 / one.mean())
            .at_least(5.0),
    );
    report.row(
        Row::new(
            "publish, crowd of 64, p99",
            crowd.percentile(99) * 1e3,
            "ms",
        )
        .against("its p50", crowd.median() * 1e3)
        .at_most(10.0),
    );
    Ok(())
}

/// A runtime on this thread alone.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

fn one_at_a_time(
    bench: &Bench,
    hub: &Hub,
    runtime: &Runtime,
    report: &mut Report,
) -> Result<Samples, Failure> {
    let folder = bench.folder()?;
    let mut file = fs_err::File::create_new(utf8(&folder)?.join("appended"))?;
    let content = entries::content(0, CONTENT);
    let mut publisher = runtime.block_on(Publisher::new(hub, "alone"))?;
    runtime.block_on(publisher.publish(WARM))?;
    let (mut flush, mut call, mut publish) =
        (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..bench.rounds(40, 10) {
        for _ in 0..RUN {
            let since = Instant::now();
            file.write_all(content.as_bytes())?;
            file.sync_data()?;
            flush.push(since.elapsed());
        }
        call.extend(runtime.block_on(publisher.ask_health(RUN))?);
        publish.extend(runtime.block_on(publisher.publish(RUN))?);
    }
    let limit = flush.median() + call.median();
    report.row(
        Row::new("publish, one at a time", 1.0 / publish.median(), "/s")
            .against("fdatasync of 700 bytes and an empty call", 1.0 / limit)
            .at_least(0.6),
    );
    Ok(publish)
}

/// How long each publish of the crowd took.
async fn crowd(hub: &Hub, secs: Duration) -> Result<Samples, Failure> {
    let mut publishers = Vec::new();
    for number in 0..CROWD {
        publishers.push(Publisher::new(hub, &format!("crowd-{number}")).await?);
    }
    let until = Instant::now() + secs;
    let mut tasks = JoinSet::new();
    for mut publisher in publishers {
        tasks.spawn(async move {
            let mut took = Samples::default();
            while Instant::now() < until {
                took.extend(publisher.publish(1).await?);
            }
            Ok::<_, Failure>(took)
        });
    }
    let mut all = Samples::default();
    while let Some(took) = tasks.join_next().await {
        all.extend(took??);
    }
    Ok(all)
}

impl Publisher {
    /// Registers the project `name` and dials.
    pub(super) async fn new(hub: &Hub, name: &str) -> Result<Self, Failure> {
        Ok(Self {
            token: hub.register(name).await?,
            link: Link::dial(hub.address(), 1 << 20, None).await?,
            name: name.to_owned(),
            number: 0,
        })
    }

    /// What proves who it is.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Publishes `count` entries, one after the other acknowledged; how long each took.
    pub(super) async fn publish(&mut self, count: u64) -> Result<Samples, Failure> {
        let mut took = Samples::default();
        for _ in 0..count {
            let message = self.message();
            let since = Instant::now();
            self.link.ask(PUBLISH, &self.token, message).await?;
            took.push(since.elapsed());
        }
        Ok(took)
    }

    /// Asks `count` times how the hub is; how long each took.
    async fn ask_health(&self, count: u64) -> Result<Samples, Failure> {
        let mut took = Samples::default();
        for _ in 0..count {
            let since = Instant::now();
            self.link.ask(HEALTH, "", String::new()).await?;
            took.push(since.elapsed());
        }
        Ok(took)
    }

    fn message(&mut self) -> String {
        self.number += 1;
        let entry = json!({
            "id": entries::id(&self.name, self.number), "type": entries::type_of(self.number),
            "content": entries::content(self.number, CONTENT), "origin": "",
            "timestamp": 1, "meta": {},
        });
        json!({ "entries": [entry] }).to_string()
    }
}
