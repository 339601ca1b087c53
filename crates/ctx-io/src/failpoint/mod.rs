//! Named steps at which a test can stop, fail or kill a process.
//!
//! Code that must survive a crash says where one could fall: `reach("sync.appended")?` between two
//! steps, [`reach_at`] where the step is about one file. Without the cargo feature `failpoints`,
//! which no default has, both do nothing and are compiled away. With it, the environment variable
//! `CTX_FAILPOINTS` says what happens where:
//!
//! ```text
//! CTX_FAILPOINTS = RULE [; RULE …] | list
//! RULE           = STEP [(FILE)] [#N | #N+] = ACTION
//! ACTION         = kill | note:PATH | hold:PATH | wait:PATH | EIO | ENOSPC | … (the name of an error)
//! ```
//!
//! | part | means |
//! |---|---|
//! | `STEP` | one of `STEPS`; `CTX_FAILPOINTS=list` prints them and ends the program |
//! | `(FILE)` | only where the step is about a file of this name, the directory left out |
//! | `#N` | only the N-th time, counted from 1 over this process; `#N+`: from then on; neither: every time |
//! | `kill` | SIGKILL to the own process |
//! | `note:PATH` | appends the step and the name of its file to the file `PATH`, as a line, and goes on |
//! | `hold:PATH` | creates the file `PATH` and stays there until it is gone |
//! | `wait:PATH` | stays there until there is a file `PATH` |
//! | `EIO` … | the step fails with this error of the operating system |
//!
//! A value that cannot be read, a step that does not exist, and code that reaches a step that is
//! not in the list end the program with code 2 and a line on standard error: a test that aims
//! beside its target must not pass.

#[cfg(feature = "failpoints")]
mod active;
#[cfg(not(feature = "failpoints"))]
mod inactive;
#[cfg(feature = "failpoints")]
mod plan;
#[cfg(feature = "failpoints")]
mod steps;

#[cfg(feature = "failpoints")]
pub use active::{VARIABLE, reach, reach_at, start};
#[cfg(not(feature = "failpoints"))]
pub use inactive::{reach, reach_at, start};
#[cfg(feature = "failpoints")]
pub use steps::STEPS;
