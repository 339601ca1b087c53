//! The phases of a run.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use tokio::runtime::{Builder, Runtime};

use super::figures::{Figures, Listeners, Phase};
use super::listener::{self, Listener, Manner};
use super::plan::Plan;
use super::publisher;
use super::scene::{Pace, Scene};
use crate::Failure;
use crate::hub::Hub;

/// Memory that the hub may take besides what its listeners cost, in KiB.
const BOUND_KIB: u64 = 256 * 1024;

/// Memory that a listener may cost the hub, in KiB, whether it reads or not.
const BOUND_PER_LISTENER_KIB: u64 = 192;

/// One listener in so many begins with the first entry there is; the others with the next one.
const HISTORY: usize = 50;

/// How often the orchestration looks.
const LOOK: Duration = Duration::from_millis(20);

/// Runs `plan`.
pub(crate) fn run(plan: &Plan) -> Result<Figures, Failure> {
    let temp = tempfile::tempdir()?;
    let dir = Utf8Path::from_path(temp.path()).ok_or("the temporary directory is not UTF-8")?;
    let hub = Hub::start(&plan.hub, dir)?;
    let mut stage = Stage::new(plan, hub)?;
    // From here on, what does not work is the hub's fault until it is shown to be another's.
    let acted = stage.act();
    if let Err(error) = &acted {
        stage.scene.ledger.violation(error.to_string());
    }
    stage.end(acted.is_ok())
}

/// A run under way.
struct Stage<'a> {
    plan: &'a Plan,
    hub: Hub,
    scene: Arc<Scene>,
    /// Listeners, on a thread of their own.
    listeners: Runtime,
    /// Publishers, on this thread, so that they do not wait for listeners of this program.
    publishers: Runtime,
    figures: Figures,
    since: Instant,
}

impl<'a> Stage<'a> {
    fn new(plan: &'a Plan, hub: Hub) -> Result<Self, Failure> {
        let publishers = Builder::new_current_thread().enable_all().build()?;
        let listeners = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let token = publishers.block_on(hub.register("load"))?;
        let scene = Arc::new(Scene::new(hub.address(), token, plan.listeners));
        let mut figures = Figures {
            publishers: plan.publishers,
            content_bytes: plan.bytes,
            ..Figures::default()
        };
        figures.memory.at_rest_kib = hub.usage().resident_kib;
        Ok(Self {
            plan,
            hub,
            scene,
            listeners,
            publishers,
            figures,
            since: Instant::now(),
        })
    }

    fn act(&mut self) -> Result<(), Failure> {
        // The first publishes pay for what the hub does once.
        self.phase("warming", 1, 0)?;
        self.phase("alone", self.plan.rounds, 0)?;
        self.listen()?;
        // Fills what there is between the hub and those who do not read.
        self.scene.set(Pace::Held);
        self.phase("filling", 1, 0)?;
        self.phase("held", self.plan.rounds, 0)?;
        let readers = self.count(|manner| manner == Manner::Reads);
        self.scene.set(Pace::Live);
        self.catch_up("readers", readers, |manner| manner == Manner::Reads)?;
        self.phase("read", self.plan.rounds, readers)?;
        self.scene.set(Pace::All);
        self.catch_up("everybody", self.plan.listeners, |_| true)
    }

    /// Every publisher publishes `rounds` entries; then `readers` listeners have it, whoever they are.
    fn phase(&mut self, name: &'static str, rounds: usize, readers: usize) -> Result<(), Failure> {
        eprintln!("{name}: {} publishers", self.plan.publishers);
        let since_start = self.since.elapsed();
        let (since, before) = (Instant::now(), self.hub.usage());
        let delivered = self.scene.delivered.load(Ordering::Relaxed);
        let left = self.plan.limit.saturating_sub(since_start);
        let publish = publisher::publish(&self.scene, self.plan, name, rounds);
        let burst = self
            .publishers
            .block_on(async { tokio::time::timeout(left, publish).await })
            .map_err(|_| format!("{name}: not acknowledged in time"))??;
        let alone = self
            .figures
            .phases
            .iter()
            .find(|phase| phase.name == "alone");
        let mut phase = Phase::new(name, &burst, alone);
        if readers > 0 {
            self.catch_up("readers", readers, |manner| manner == Manner::Reads)?;
        }
        let delivered = self.scene.delivered.load(Ordering::Relaxed) - delivered;
        phase.settle(since.elapsed(), delivered, before, self.hub.usage());
        eprintln!("  {phase:?}");
        self.figures.phases.push(phase);
        Ok(())
    }

    /// Opens every listener.
    fn listen(&mut self) -> Result<(), Failure> {
        let _inside = self.listeners.enter();
        let shared = (self.plan.listeners - self.plan.own).div_ceil(self.plan.streams);
        let mut links = Vec::new();
        for _ in 0..shared {
            links.push(self.listeners.block_on(listener::shared(&self.scene))?);
        }
        let head = self.scene.ledger.head();
        for number in 0..self.plan.listeners {
            if number % HISTORY != 0 {
                self.scene.has(number, head);
            }
            let place = number.checked_sub(self.plan.own);
            let link = place.and_then(|place| links.get(place / self.plan.streams));
            let listener = Listener {
                scene: Arc::clone(&self.scene),
                number,
                manner: self.manner(number),
                shared: link.map(Arc::clone),
            };
            drop(self.listeners.spawn(listener.run()));
        }
        self.wait("listeners have begun", |stage| {
            (
                stage.scene.opened.load(Ordering::Relaxed),
                stage.plan.listeners,
            )
        })?;
        let usage = self.hub.usage();
        self.figures.memory.listening_kib = usage.resident_kib;
        self.figures.listeners.shared_connections = shared;
        eprintln!("  hub: {} KiB", usage.resident_kib);
        Ok(())
    }

    /// Waits until `count` listeners of a manner have everything that was acknowledged.
    fn catch_up(
        &mut self,
        who: &str,
        count: usize,
        which: impl Fn(Manner) -> bool,
    ) -> Result<(), Failure> {
        let head = self.scene.ledger.head();
        self.wait(&format!("{who} have everything"), |stage| {
            let which = |number| which(stage.manner(number));
            (stage.scene.have(head, which), count)
        })
    }

    /// Waits until as many are there as there should be.
    fn wait(&mut self, what: &str, look: impl Fn(&Self) -> (usize, usize)) -> Result<(), Failure> {
        let mut said = Instant::now();
        loop {
            let (there, all) = look(self);
            if there >= all {
                eprintln!("  {there} of {all} {what}");
                return Ok(());
            }
            if said.elapsed() > Duration::from_secs(5) {
                eprintln!("  {there} of {all} {what}");
                said = Instant::now();
            }
            if !self.hub.runs() {
                return Err(format!("the hub ended: {}", self.hub.said()).into());
            }
            if self.since.elapsed() > self.plan.limit {
                let limit = self.plan.limit;
                return Err(format!("{there} of {all} {what} after {limit:?}").into());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The first listeners are those that read badly; they have connections of their own.
    fn manner(&self, number: usize) -> Manner {
        let slow = self.plan.slow;
        let stalled = slow + self.plan.stalled;
        let frozen = stalled + self.plan.frozen;
        match number {
            _ if number < slow => Manner::Slow,
            _ if number < stalled => Manner::Stalled,
            _ if number < frozen => Manner::Frozen,
            _ => Manner::Reads,
        }
    }

    fn count(&self, which: impl Fn(Manner) -> bool) -> usize {
        let numbers = 0..self.plan.listeners;
        numbers.filter(|number| which(self.manner(*number))).count()
    }

    /// Looks at the memory, ends the hub and draws the sum.
    fn end(mut self, is_complete: bool) -> Result<Figures, Failure> {
        self.weigh();
        let listeners = Listeners {
            opened: self.scene.opened.load(Ordering::Relaxed),
            own_connections: self.plan.own,
            shared_connections: self.figures.listeners.shared_connections,
            streams_per_shared_connection: self.plan.streams,
            slow: self.plan.slow,
            stalled: self.plan.stalled,
            frozen: self.plan.frozen,
            reopened: self.scene.reopened.load(Ordering::Relaxed),
            limited_by: self.plan.limited_by.clone(),
        };
        let verdict = self.scene.ledger.verdict(is_complete);
        let mut figures = Figures {
            listeners,
            entries: self.scene.ledger.entries(),
            delivered: self.scene.delivered.load(Ordering::Relaxed),
            lost: verdict.lost,
            duplicated: verdict.duplicated,
            different: verdict.different,
            seconds: self.since.elapsed().as_secs_f64(),
            ..self.figures
        };
        figures.violations.extend(verdict.violations);
        // Listeners would dial again while the hub ends.
        self.listeners.shutdown_timeout(Duration::from_secs(10));
        figures.violations.extend(self.hub.stop()?);
        Ok(figures)
    }

    fn weigh(&mut self) {
        let listeners = u64::try_from(self.plan.listeners).unwrap_or(u64::MAX);
        let memory = &mut self.figures.memory;
        let each = |kib: u64| kib.saturating_sub(memory.at_rest_kib) * 1_024 / listeners;
        let peak_kib = self.hub.usage().peak_kib;
        memory.per_idle_listener_bytes = each(memory.listening_kib);
        memory.per_listener_bytes_at_peak = each(peak_kib);
        memory.peak_kib = peak_kib;
        memory.bound_kib = BOUND_KIB + BOUND_PER_LISTENER_KIB * listeners;
        if peak_kib > memory.bound_kib {
            let bound = memory.bound_kib;
            let said = format!("the hub took {peak_kib} KiB, and {bound} KiB are its bound");
            self.figures.violations.push(said);
        }
    }
}
