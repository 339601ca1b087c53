//! How far a hub is in its life, for whoever started it.

/// How far a hub is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// It has its data directory and its address; who connects waits.
    Opened,
    /// It answers.
    Serving,
    /// It was told to stop: calls under way finish.
    Draining,
}
