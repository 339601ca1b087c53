//! A sync of ten new entries, however large the mirror is.

use std::cell::Cell;
use std::time::Duration;

use ctx_hub::wire::method::PUBLISH;
use serde_json::json;

use crate::Failure;
use crate::bench::{Bench, CONTENT, OwnHub};
use crate::entries;
use crate::link::Link;
use crate::plot::Panel;
use crate::project::Project;
use crate::samples::{Samples, in_turn, timed};
use crate::table::{Report, Row};

const SYNC: [&str; 2] = ["connect", "sync"];
/// New entries before each sync.
const FEW: u64 = 10;
/// Entries of the hub that the others are measured against.
const SMALL: u64 = 1_000;

/// Over a large mirror against over a small one.
pub(crate) fn measure(bench: &mut Bench, report: &mut Report) -> Result<(), Failure> {
    let most = bench.size(1_000_000, 100_000);
    let rounds = bench.rounds(40, 15);
    let small = Reader::new(bench, SMALL)?;
    let mut curve = Vec::new();
    for size in [100_000, 1_000_000] {
        if size > most {
            break;
        }
        let large = Reader::new(bench, size)?;
        let (figure, limit) = in_turn(rounds, || large.sync(), || small.sync())?;
        if curve.is_empty() {
            curve.push((SMALL, limit.median() * 1e3));
        }
        curve.push((size, figure.median() * 1e3));
        if size == most {
            report.row(row(size, &figure, &limit));
        }
    }
    report
        .panel(Panel::new("Sync of ten new entries", "entries mirrored", "ms").line("sync", curve));
    Ok(())
}

fn row(size: u64, figure: &Samples, limit: &Samples) -> Row {
    Row::new(
        &format!("sync of {FEW} over {size} mirrored"),
        figure.median() * 1e3,
        "ms",
    )
    .against(&format!("over {SMALL}"), limit.median() * 1e3)
    .at_most(1.2)
}

/// A hub, a project that mirrors it, and somebody who publishes.
struct Reader {
    hub: OwnHub,
    project: Project,
    token: String,
    runtime: tokio::runtime::Runtime,
    published: Cell<u64>,
}

impl Reader {
    fn new(bench: &mut Bench, size: u64) -> Result<Self, Failure> {
        let hub = bench.hub(size)?;
        let project = bench.project(&hub, "reader")?;
        project.run(&SYNC)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let token = runtime.block_on(hub.register("writer"))?;
        Ok(Self {
            hub,
            project,
            token,
            runtime,
            published: Cell::new(0),
        })
    }

    /// Publishes a few entries; how long a sync of them takes.
    fn sync(&self) -> Result<Duration, Failure> {
        self.runtime.block_on(self.publish())?;
        timed(|| self.project.run(&SYNC))
    }

    async fn publish(&self) -> Result<(), Failure> {
        let first = self.published.get() + 1;
        self.published.set(self.published.get() + FEW);
        let new = (first..first + FEW).map(|number| {
            json!({
                "id": entries::id("few", number), "type": entries::type_of(number),
                "content": entries::content(number, CONTENT), "origin": "",
                "timestamp": 1_767_225_600, "meta": {},
            })
        });
        let message = json!({ "entries": new.collect::<Vec<_>>() }).to_string();
        let link = Link::dial(self.hub.address(), 65_535, None).await?;
        link.ask(PUBLISH, &self.token, message).await?;
        Ok(())
    }
}
