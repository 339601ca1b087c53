//! Publishers: each repeats an entry under the same id until it is acknowledged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ctx_hub::wire::method::PUBLISH;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::plan::Plan;
use super::scene::Scene;
use crate::Failure;
use crate::link::Link;

/// Every so many entries are published once more after they were acknowledged.
const AGAIN: usize = 8;

/// How long a publisher waits before it repeats what was not acknowledged.
const PAUSE: Duration = Duration::from_millis(50);

/// What a hub answers.
#[derive(Deserialize)]
struct Answer {
    sequences: Vec<u64>,
}

/// What publishing took.
#[derive(Default)]
pub(crate) struct Burst {
    /// From the first to the last acknowledgement of all.
    pub(crate) took: Duration,
    /// How long each entry took to be acknowledged, shortest first.
    pub(crate) waits: Vec<Duration>,
    /// Publishes that were sent again because nothing was acknowledged.
    pub(crate) repeated: usize,
}

/// Publishes from every publisher at once; ids begin with `phase`.
pub(crate) async fn publish(
    scene: &Arc<Scene>,
    plan: &Plan,
    phase: &'static str,
    rounds: usize,
) -> Result<Burst, Failure> {
    let barrier = Arc::new(Barrier::new(plan.publishers + 1));
    let mut tasks = JoinSet::new();
    for number in 0..plan.publishers {
        let publisher = Publisher {
            scene: Arc::clone(scene),
            name: format!("{phase}-{number}"),
            content: "x".repeat(plan.bytes),
            link: Link::dial(scene.address, 65_535, None).await?,
        };
        let barrier = Arc::clone(&barrier);
        tasks.spawn(async move {
            barrier.wait().await;
            publisher.run(rounds).await
        });
    }
    barrier.wait().await;
    let since = Instant::now();
    let mut burst = Burst::default();
    while let Some(done) = tasks.join_next().await {
        let (waits, repeated) = done?;
        burst.waits.extend(waits);
        burst.repeated += repeated;
    }
    burst.took = since.elapsed();
    burst.waits.sort_unstable();
    Ok(burst)
}

struct Publisher {
    scene: Arc<Scene>,
    name: String,
    content: String,
    link: Link,
}

impl Publisher {
    async fn run(mut self, rounds: usize) -> (Vec<Duration>, usize) {
        let (mut waits, mut repeated) = (Vec::new(), 0);
        for round in 0..rounds {
            let id = format!("{}-{round}", self.name);
            let since = Instant::now();
            let sequence = loop {
                match self.send(&id).await {
                    Ok(sequence) => break sequence,
                    Err(error) => {
                        eprintln!("{id} is published again: {error}");
                        repeated += 1;
                        tokio::time::sleep(PAUSE).await;
                        if let Ok(link) = Link::dial(self.scene.address, 65_535, None).await {
                            self.link = link;
                        }
                    }
                }
            };
            waits.push(since.elapsed());
            self.scene.ledger.acknowledged(id.clone(), sequence);
            if round % AGAIN == AGAIN - 1
                && let Ok(sequence) = self.send(&id).await
            {
                self.scene.ledger.acknowledged(id, sequence);
            }
        }
        (waits, repeated)
    }

    async fn send(&self, id: &str) -> Result<u64, Failure> {
        let entry = json!({
            "id": id, "type": "learning", "content": self.content, "origin": "",
            "timestamp": 1, "meta": {},
        });
        let message = json!({ "entries": [entry] }).to_string();
        let answer = self.link.ask(PUBLISH, &self.scene.token, message).await?;
        let Answer { sequences } = serde_json::from_slice(&answer)?;
        match sequences.as_slice() {
            [sequence] => Ok(*sequence),
            _ => Err("not one sequence".into()),
        }
    }
}
