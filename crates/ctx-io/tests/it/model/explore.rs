//! Every state that can be reached, breadth first, and what can be reached from each of them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, Hasher};

use super::cast::{Protocol, Role, Step};
use super::parts::{Next, OsLock, Pid, Record};
use super::world::World;

/// What must hold in every state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Safety {
    /// At most one process holds the lock, unless a person removed the file of another.
    OneHolder,
    /// What a holder holds is at the path, names it, and is locked for it.
    HolderKeepsItsLock,
    /// What is at the path has a complete record, or is what a power cut left of one.
    CompleteRecord,
    /// A temporary file that its owner has made sure of stays until it is published.
    PreparedFileStays,
}

pub(crate) const SAFETY: [Safety; 4] = [
    Safety::OneHolder,
    Safety::HolderKeepsItsLock,
    Safety::CompleteRecord,
    Safety::PreparedFileStays,
];

impl Safety {
    pub(crate) fn holds(self, world: &World, protocol: &Protocol) -> bool {
        let holders = || {
            (0..)
                .zip(&world.processes)
                .filter(|(_, p)| p.holds() && !p.lost)
        };
        match self {
            Safety::OneHolder => holders().count() <= 1,
            Safety::HolderKeepsItsLock => holders().all(|(pid, process)| {
                let inode = || world.inode(process.file);
                world.path != 0
                    && world.path == process.file
                    && inode().record == Record::Of(pid)
                    && (!protocol.os_locks
                        || matches!(inode().os_lock, OsLock::Exclusive(owner, _) if owner == pid))
            }),
            Safety::CompleteRecord => {
                let record = || world.inode(world.path).record;
                let is_left = || protocol.power_cuts && record() == Record::Missing;
                let whole = || matches!(record(), Record::Of(_) | Record::Dead);
                world.path == 0 || whole() || is_left() && holders().count() == 0
            }
            Safety::PreparedFileStays => (0..).zip(world.names).all(|(pid, name)| {
                let process = world.processes.get(pid);
                process.is_none_or(|process| !process.prepares() || name == process.file)
            }),
        }
    }
}

/// Multiplies and rotates: quick, and these keys come from nobody who means harm.
#[derive(Default)]
pub(crate) struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// One edge: which step leads where.
struct Edge {
    to: u32,
    by: Option<Pid>,
}

/// Every reachable state and every edge between them.
pub(crate) struct Graph {
    protocol: Protocol,
    worlds: Vec<World>,
    /// By which step from which state it was reached first.
    reached: Vec<Option<(u32, Step)>>,
    depths: Vec<u32>,
    /// `edges[starts[n]..starts[n + 1]]` leave state `n`.
    starts: Vec<usize>,
    edges: Vec<Edge>,
}

/// Explores every state, or stops at the first that breaks one of `wanted`, with the way there.
pub(crate) fn explore(
    protocol: Protocol,
    wanted: &[Safety],
    view: fn(&World) -> World,
) -> Result<Graph, Broken> {
    let mut known: HashMap<World, u32, BuildHasherDefault<Quick>> = HashMap::default();
    let mut graph = Graph {
        protocol,
        worlds: vec![World::new().normal()],
        reached: vec![None],
        depths: vec![0],
        starts: vec![0],
        edges: Vec::new(),
    };
    known.insert(graph.worlds[0], 0);
    let mut at = 0;
    while let Some(world) = graph.worlds.get(at).copied() {
        if let Some(safety) = wanted
            .iter()
            .find(|safety| !safety.holds(&world, &protocol))
        {
            return Err(Broken {
                safety: Some(*safety),
                trace: graph.trace(at),
                states: graph.worlds.len(),
            });
        }
        let Graph {
            worlds,
            reached,
            depths,
            edges,
            ..
        } = &mut graph;
        protocol.steps(&world, |step, after| {
            let after = view(&after);
            let to = *known.entry(after).or_insert_with(|| {
                worlds.push(after);
                reached.push(Some((at as u32, step)));
                depths.push(depths[at] + 1);
                worlds.len() as u32 - 1
            });
            edges.push(Edge { to, by: step.by() });
        });
        graph.starts.push(graph.edges.len());
        at += 1;
    }
    Ok(graph)
}

/// A way to a state that should not be.
#[derive(Debug)]
pub(crate) struct Broken {
    /// What is broken there; none for a state from which nothing leads on.
    pub(crate) safety: Option<Safety>,
    pub(crate) trace: Vec<(Step, World)>,
    /// How many states were known when it was found.
    pub(crate) states: usize,
}

impl Broken {
    /// One line a step.
    pub(crate) fn tell(&self) -> String {
        let mut told = format!("{:?} after {} steps:\n", self.safety, self.trace.len());
        for (step, world) in &self.trace {
            let what = match step {
                Step::Call(pid, next) => format!("{} {next:?}", name(*pid)),
                Step::Kill(pid, next, torn) => {
                    let when = if *torn { "in the middle of" } else { "before" };
                    format!("{} is killed {when} {next:?}", name(*pid))
                }
                Step::End(pid) => format!("{} ends", name(*pid)),
                Step::Quit(pid) => format!("{} waits no longer", name(*pid)),
                Step::Fail(pid, next) => format!("{} fails at {next:?}", name(*pid)),
                Step::Meddle => "a person removes the file".to_owned(),
                Step::PowerCut => "the power fails".to_owned(),
            };
            writeln!(told, "  {what:<40} {world}").unwrap();
        }
        told
    }
}

fn name(pid: Pid) -> char {
    char::from(b'A' + pid)
}

impl Graph {
    pub(crate) fn states(&self) -> usize {
        self.worlds.len()
    }

    pub(crate) fn steps(&self) -> usize {
        self.edges.len()
    }

    /// The longest of the shortest ways to a state.
    pub(crate) fn depth(&self) -> u32 {
        self.depths.iter().copied().max().unwrap_or_default()
    }

    fn leaving(&self, state: usize) -> &[Edge] {
        &self.edges[self.starts[state]..self.starts[state + 1]]
    }

    fn trace(&self, state: usize) -> Vec<(Step, World)> {
        let mut trace = Vec::new();
        let mut at = state;
        while let Some((before, step)) = self.reached[at] {
            trace.push((step, self.worlds[at]));
            at = before as usize;
        }
        trace.reverse();
        trace
    }

    fn broken_at(&self, state: usize) -> Broken {
        Broken {
            safety: None,
            trace: self.trace(state),
            states: self.states(),
        }
    }

    /// From every state, without another fault, a state leads on in which `goal` is true.
    pub(crate) fn can_always_reach(&self, goal: impl Fn(&World) -> bool) -> Result<(), Broken> {
        let mut starts = vec![0_usize; self.states() + 1];
        let calls = || self.edges.iter().filter(|edge| edge.by.is_some());
        for edge in calls() {
            starts[edge.to as usize + 1] += 1;
        }
        for at in 0..self.states() {
            starts[at + 1] += starts[at];
        }
        let mut filled = starts.clone();
        let mut before = vec![0_u32; calls().count()];
        for state in 0..self.states() {
            for edge in self.leaving(state).iter().filter(|edge| edge.by.is_some()) {
                let place = &mut filled[edge.to as usize];
                before[*place] = state as u32;
                *place += 1;
            }
        }
        let mut can: Vec<bool> = self.worlds.iter().map(goal).collect();
        let mut todo: Vec<usize> = (0..self.states()).filter(|state| can[*state]).collect();
        while let Some(state) = todo.pop() {
            for from in &before[starts[state]..starts[state + 1]] {
                if !std::mem::replace(&mut can[*from as usize], true) {
                    todo.push(*from as usize);
                }
            }
        }
        match can.iter().position(|can| !can) {
            Some(state) => Err(self.broken_at(state)),
            None => Ok(()),
        }
    }

    /// Without another fault nobody goes round for ever while nobody gets the lock, if every
    /// contender that has begun goes on: there is no cycle in which each of them makes a step or
    /// rests all the time.
    pub(crate) fn never_goes_round_in_vain(&self) -> Result<(), Broken> {
        for component in self.cycles(|world| !world.processes.iter().any(|p| p.holds())) {
            let inside: std::collections::HashSet<u32> = component.iter().copied().collect();
            let steps = |pid: Pid| {
                component.iter().any(|state| {
                    let mut leaving = self.leaving(*state as usize).iter();
                    leaving.any(|edge| edge.by == Some(pid) && inside.contains(&edge.to))
                })
            };
            let rests = |pid: Pid| {
                let next = |state: &u32| self.worlds[*state as usize].process(pid).next;
                component.iter().all(|state| next(state) == Next::Open)
            };
            let contends = |pid: Pid| self.protocol.roles[usize::from(pid)] == Role::Contender;
            let pids = || 0..self.protocol.roles.len() as Pid;
            let fair = pids().all(|pid| steps(pid) || rests(pid));
            if fair && pids().any(|pid| contends(pid) && steps(pid)) {
                return Err(self.broken_at(component[0] as usize));
            }
        }
        Ok(())
    }

    /// The strongly connected components of what steps without a fault lead through, of those
    /// states only that are `wanted`; without those in which nothing goes round. (Tarjan's way,
    /// with a stack of its own.)
    fn cycles(&self, wanted: impl Fn(&World) -> bool) -> Vec<Vec<u32>> {
        const NEW: u32 = u32::MAX;
        let count = self.states();
        let wanted: Vec<bool> = self.worlds.iter().map(wanted).collect();
        let (mut order, mut low) = (vec![NEW; count], vec![0_u32; count]);
        let mut on_stack = vec![false; count];
        let (mut stack, mut found) = (Vec::new(), Vec::new());
        let mut counter = 0;
        for root in (0..count).filter(|state| wanted[*state]) {
            let mut path = vec![(root, self.starts[root])];
            if order[root] != NEW {
                continue;
            }
            while let Some((state, edge)) = path.last_mut() {
                let state = *state;
                if order[state] == NEW {
                    (order[state], low[state]) = (counter, counter);
                    counter += 1;
                    stack.push(state as u32);
                    on_stack[state] = true;
                }
                if *edge < self.starts[state + 1] {
                    let Edge { to, by } = self.edges[*edge];
                    *edge += 1;
                    let to = to as usize;
                    if by.is_none() || !wanted[to] {
                        continue;
                    }
                    if order[to] == NEW {
                        path.push((to, self.starts[to]));
                    } else if on_stack[to] {
                        low[state] = low[state].min(order[to]);
                    }
                    continue;
                }
                path.pop();
                if let Some((parent, _)) = path.last() {
                    low[*parent] = low[*parent].min(low[state]);
                }
                if low[state] == order[state] {
                    let at = stack.iter().rposition(|on| *on as usize == state).unwrap();
                    let component = stack.split_off(at);
                    component
                        .iter()
                        .for_each(|on| on_stack[*on as usize] = false);
                    if component.len() > 1 || self.goes_to_itself(state) {
                        found.push(component);
                    }
                }
            }
        }
        found
    }

    fn goes_to_itself(&self, state: usize) -> bool {
        let mut leaving = self.leaving(state).iter();
        leaving.any(|edge| edge.by.is_some() && edge.to as usize == state)
    }
}
