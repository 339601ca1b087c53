//! The protocol of the lock, checked in every state that three processes can bring about.
//!
//! `specs/0013-lock-model.md` has the figures, and says which function of the crate each step
//! stands for: who changes one, changes the other.

mod cast;
mod explore;
mod parts;
mod protocol;
mod world;

use std::time::Instant;

use Role::{Absent, Contender, Looker, Remover};
use cast::{Bug, Person, Protocol, Publication, Role, Step};
use explore::{Broken, Graph, SAFETY, Safety, explore};
use parts::STEPS;
use world::World;

/// Set to `full`, every case is explored, which takes minutes.
const EXTENT: &str = "CTX_LOCK_MODEL";

const THREE: Protocol = Protocol {
    roles: [Contender, Contender, Contender],
    os_locks: true,
    publication: Publication::Rename,
    person: Person::Away,
    power_cuts: false,
    bug: None,
};
const TWO: Protocol = Protocol {
    roles: [Contender, Contender, Absent],
    ..THREE
};
const WITH_REMOVER: Protocol = Protocol {
    roles: [Contender, Contender, Remover],
    ..THREE
};
const WITHOUT_OS_LOCKS: Protocol = Protocol {
    os_locks: false,
    ..THREE
};

#[expect(
    clippy::print_stdout,
    reason = "figures, which a test that passes hides"
)]
fn tell(figures: &str) {
    println!("{figures}");
}

/// Explores, and says how much there was.
#[track_caller]
fn safe(protocol: Protocol, view: fn(&World) -> World) -> Graph {
    let started = Instant::now();
    let graph = match explore(protocol, &SAFETY, view) {
        Ok(graph) => graph,
        Err(broken) => panic!("{protocol:?}: {}", broken.tell()),
    };
    tell(&format!(
        "{protocol:?}: {} states, {} steps, depth {}, {:?}",
        graph.states(),
        graph.steps(),
        graph.depth(),
        started.elapsed()
    ));
    graph
}

#[track_caller]
fn sure(outcome: Result<(), Broken>) {
    if let Err(broken) = outcome {
        panic!("stuck {}", broken.tell());
    }
}

fn somebody_holds(world: &World) -> bool {
    world.processes.iter().any(|process| process.holds())
}

/// Everything that is promised where the operating system has locks. That it holds for the first
/// process means that it holds for each: they are alike.
#[track_caller]
fn keeps_every_promise(protocol: Protocol) {
    let graph = safe(protocol, World::normal);
    sure(graph.can_always_reach(somebody_holds));
    sure(graph.can_always_reach(|world| world.processes[0].holds()));
    // Who looks all the time may keep a contender from taking over for as long as they look.
    if !protocol.roles.contains(&Looker) {
        sure(graph.never_goes_round_in_vain());
    }
}

#[track_caller]
fn breaks(protocol: Protocol, safety: Safety) -> Broken {
    match explore(protocol, &[safety], World::normal) {
        Ok(graph) => panic!("{protocol:?}: {} states, nothing found", graph.states()),
        Err(broken) => {
            tell(&format!(
                "{:?}: {} states, {}",
                protocol.bug,
                broken.states,
                broken.tell()
            ));
            broken
        }
    }
}

#[test]
fn three_contenders_are_never_two_holders_and_none_is_blocked_by_the_dead() {
    let graph = safe(THREE, |world| world.sorted().normal());
    sure(graph.can_always_reach(somebody_holds));
}

#[test]
fn a_contender_and_two_who_remove_dead_locks_keep_every_promise() {
    let roles = [Contender, Remover, Remover];
    keeps_every_promise(Protocol { roles, ..THREE });
}

#[test]
fn two_contenders_keep_every_promise_in_every_variant() {
    for publication in [Publication::Rename, Publication::Link] {
        for person in [Person::Away, Person::Meddles] {
            keeps_every_promise(Protocol {
                publication,
                person,
                ..TWO
            });
        }
    }
}

#[test]
fn one_who_looks_blocks_nobody_for_good() {
    let roles = [Contender, Looker, Absent];
    keeps_every_promise(Protocol { roles, ..THREE });
}

#[test]
fn a_power_cut_that_takes_the_record_blocks_nobody_because_of_the_mark() {
    let powered = Protocol {
        power_cuts: true,
        ..TWO
    };
    for publication in [Publication::Rename, Publication::Link] {
        keeps_every_promise(Protocol {
            publication,
            ..powered
        });
    }
    let roles = [Contender, Remover, Absent];
    keeps_every_promise(Protocol { roles, ..powered });

    let bug = Some(Bug::IgnoresMark);
    let graph = safe(Protocol { bug, ..powered }, World::normal);
    let blocked = graph.can_always_reach(somebody_holds).unwrap_err();
    tell(&format!(
        "{} steps: {}",
        blocked.trace.len(),
        blocked.tell()
    ));
    assert!(
        blocked
            .trace
            .iter()
            .any(|(step, _)| *step == Step::PowerCut)
    );
}

#[test]
fn without_os_locks_the_dead_block_until_their_lock_is_removed() {
    let graph = safe(
        Protocol {
            roles: TWO.roles,
            ..WITHOUT_OS_LOCKS
        },
        World::normal,
    );
    let blocked = graph.can_always_reach(somebody_holds).unwrap_err();
    assert!(matches!(blocked.trace.last(), Some((Step::Kill(..), _))));

    let roles = [Contender, Remover, Absent];
    let graph = safe(
        Protocol {
            roles,
            ..WITHOUT_OS_LOCKS
        },
        World::normal,
    );
    sure(graph.can_always_reach(somebody_holds));
    sure(graph.can_always_reach(|world| world.processes[0].holds()));
}

#[test]
fn without_os_locks_two_who_remove_at_the_same_time_take_no_lock_from_its_holder() {
    let roles = [Contender, Remover, Remover];
    let graph = safe(
        Protocol {
            roles,
            ..WITHOUT_OS_LOCKS
        },
        World::normal,
    );
    sure(graph.can_always_reach(somebody_holds));
}

/// No system call compares and removes; whoever removes the file of a live lock by hand must not
/// be that quick.
#[test]
fn a_person_who_removes_between_comparison_and_removal_may_cost_another_its_lock() {
    let person = Person::MeddlesInBetween;
    breaks(Protocol { person, ..TWO }, Safety::HolderKeepsItsLock);
}

#[test]
fn every_planted_bug_is_found() {
    use Bug::*;
    use Safety::*;
    let bug = |bug| Protocol {
        bug: Some(bug),
        ..TWO
    };
    let meddled = |planted| Protocol {
        person: Person::Meddles,
        ..bug(planted)
    };
    let removed = |planted| Protocol {
        bug: Some(planted),
        ..WITH_REMOVER
    };
    let lockless = |planted| Protocol {
        roles: [Contender, Remover, Remover],
        bug: Some(planted),
        ..WITHOUT_OS_LOCKS
    };
    for (protocol, safety) in [
        (meddled(ReleaseUnchecked), HolderKeepsItsLock),
        (bug(ReleaseUnlocksFirst), OneHolder),
        (bug(TakeoverByUnlinkAndCreate), OneHolder),
        (meddled(TakeoverByLockedUnlinkAndCreate), OneHolder),
        (bug(TakeoverUnchecked), OneHolder),
        (bug(TakeoverLeavesTornLine), CompleteRecord),
        (bug(PublishedBeforeFlock), OneHolder),
        (bug(PublishedBeforeWrite), CompleteRecord),
        (bug(PublishReplaces), OneHolder),
        (bug(StatThenWrite), OneHolder),
        (bug(SweepsWithoutAsking), PreparedFileStays),
        (bug(CreatorIgnoresSweep), PreparedFileStays),
        (removed(RemoverUnlocksFirst), OneHolder),
        (lockless(RemoverUnchecked), HolderKeepsItsLock),
        (lockless(RemoverUnannounced), HolderKeepsItsLock),
        (lockless(ClaimIgnoresAnnouncements), HolderKeepsItsLock),
        (lockless(ClaimUnchecked), HolderKeepsItsLock),
    ] {
        breaks(protocol, safety);
    }
}

#[test]
fn a_torn_line_that_is_not_cut_blocks_everybody_for_good() {
    let bug = Some(Bug::TakeoverLeavesTornLine);
    let graph = explore(Protocol { bug, ..TWO }, &[Safety::OneHolder], World::normal)
        .unwrap_or_else(|broken| panic!("{}", broken.tell()));
    assert!(graph.can_always_reach(somebody_holds).is_err());
    assert!(graph.never_goes_round_in_vain().is_err());
}

/// Whoever changes the code where a step is named, or the model, is led to the other one.
#[test]
fn every_step_is_named_in_the_code_and_in_the_spec() {
    let code = concat!(
        include_str!("../../src/lock/contend.rs"),
        include_str!("../../src/lock/examine.rs"),
        include_str!("../../src/lock/inspect.rs"),
        include_str!("../../src/lock/mod.rs"),
        include_str!("../../src/lock/removal.rs"),
        include_str!("../../src/temp.rs"),
    );
    let spec = include_str!("../../../../specs/0013-lock-model.md");
    let named: Vec<&str> = code
        .split("Model:")
        .skip(1)
        .flat_map(|after| after.split(['.', ')']).next())
        .flat_map(|names| names.split(|c: char| !c.is_alphanumeric()))
        .collect();
    for step in STEPS {
        let step = format!("{step:?}");
        assert!(named.contains(&step.as_str()), "{step} is not in the code");
        assert!(
            spec.contains(&format!("`{step}`")),
            "{step} is not in the spec"
        );
    }
}

/// Minutes, so only when asked for.
#[test]
fn every_case_in_full() {
    if std::env::var(EXTENT).as_deref() != Ok("full") {
        return;
    }
    let crowds = [
        [Contender, Contender, Contender],
        [Contender, Contender, Remover],
        [Contender, Remover, Remover],
        [Contender, Contender, Looker],
        [Contender, Remover, Looker],
    ];
    for publication in [Publication::Rename, Publication::Link] {
        for person in [Person::Away, Person::Meddles] {
            for roles in crowds {
                keeps_every_promise(Protocol {
                    roles,
                    publication,
                    person,
                    ..THREE
                });
            }
            for roles in [crowds[1], crowds[2]] {
                let lockless = Protocol {
                    roles,
                    publication,
                    person,
                    ..WITHOUT_OS_LOCKS
                };
                sure(safe(lockless, World::normal).can_always_reach(somebody_holds));
            }
        }
    }
}
