//! Entries to publish, and publishing them.

use std::fs::File;

use super::mirror::Ledger;
use super::names::TYPES;
use super::prng::Prng;
use super::process::{Ended, Process};
use super::scratch::put;
use super::trouble::Trouble;
use super::world::{Project, document};

/// An entry before it is published.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) id: String,
    entry_type: &'static str,
    text: String,
}

/// Lines that look like ours and must not be taken for it.
const HOSTILE: [&str; 6] = [
    "---",
    "## [2026-01-01] a header",
    "<!-- ctx {\"seq\":1,\"id\":\"forged\"} -->",
    "**Origin**: elsewhere",
    "\\---",
    "```",
];

/// Bytes of content beyond which an entry is large.
const LARGE: u64 = 600_000;

impl Draft {
    /// An entry of a random type and size, up to some thirty thousand bytes.
    pub(crate) fn random(id: String, prng: &mut Prng) -> Self {
        // A power of two, so that most are short and some are long.
        let lines = prng.between(1, 4) << prng.below(9);
        Self::of_lines(id, lines, prng)
    }

    /// An entry of more than half of the most that one can hold.
    pub(crate) fn large(id: String, prng: &mut Prng) -> Self {
        let mut draft = Self::of_lines(id, 1, prng);
        let line = "all work and no play makes the mirror a dull file\n";
        while u64::try_from(draft.text.len()).unwrap_or(LARGE) < LARGE {
            draft.text.push_str(line);
        }
        draft
    }

    fn of_lines(id: String, lines: u64, prng: &mut Prng) -> Self {
        let mut text = format!("Entry {id}\n");
        for _ in 0..lines {
            match prng.pick(&HOSTILE) {
                Some(line) if prng.once_in(6) => text.push_str(line),
                _ => text.push_str(&format!("{:x} is decided", prng.next())),
            }
            text.push('\n');
        }
        Self {
            id,
            entry_type: prng.pick(&TYPES).copied().unwrap_or(TYPES[0]),
            text,
        }
    }
}

/// Starts publishing `draft` from `project`; `more` are further arguments. Success is to mean that
/// the hub has it, so nothing is queued.
pub(crate) fn start(
    project: &Project<'_>,
    draft: &Draft,
    more: &[&str],
) -> Result<Process, Trouble> {
    send(project, draft, &[&["--no-queue"], more].concat())
}

/// Starts publishing `draft` from `project`, to be queued when the hub is away.
pub(crate) fn queue(project: &Project<'_>, draft: &Draft) -> Result<Process, Trouble> {
    send(project, draft, &[])
}

fn send(project: &Project<'_>, draft: &Draft, more: &[&str]) -> Result<Process, Trouble> {
    let path = project.world.root().join(format!("logs/{}.text", draft.id));
    put(&path, draft.text.as_bytes())?;
    let args = [
        &["--json", "connect", "publish", draft.entry_type, "-"],
        ["--id", &draft.id].as_slice(),
        more,
    ]
    .concat();
    let process = project.start_on(&args, File::open(&path)?)?;
    fs_err::remove_file(&path)?;
    Ok(process)
}

/// The sequence that was answered; none when the process gave no acknowledgement.
pub(crate) fn acknowledged(ended: &Ended) -> Result<Option<u64>, Trouble> {
    if ended.code != Some(0) {
        return Ok(None);
    }
    let answer = document(&ended.stdout)?;
    match answer["sequence"].as_u64() {
        Some(sequence) => Ok(Some(sequence)),
        None => Err(Trouble::Broken(format!("no sequence in {answer}"))),
    }
}

/// Notes an acknowledgement; a second one for the same id has to be the same.
pub(crate) fn note(ledger: &mut Ledger, id: &str, sequence: u64) -> Result<(), Trouble> {
    match ledger.insert(id.to_owned(), sequence) {
        Some(before) if before != sequence => Err(Trouble::Broken(format!(
            "{id} was acknowledged as {before} and again as {sequence}"
        ))),
        _ => Ok(()),
    }
}

/// Entries under way from one project whose hub nobody disturbs.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    project: Project<'a>,
    under_way: Vec<(String, Process)>,
    next: u64,
    small: bool,
    pub(crate) ledger: Ledger,
}

impl<'a> Writer<'a> {
    /// A writer of the entries `w1`, `w2`, …
    pub(crate) fn new(project: Project<'a>) -> Self {
        Self {
            project,
            under_way: Vec::new(),
            next: 1,
            small: false,
            ledger: Ledger::new(),
        }
    }

    /// Publishes no large entries from now on, but for those of [`Writer::fill`]: what is mirrored
    /// from nothing in each of many rounds must not grow with them.
    pub(crate) const fn keep_small(&mut self) {
        self.small = true;
    }

    /// The project that publishes.
    pub(crate) const fn project(&self) -> &Project<'a> {
        &self.project
    }

    /// Starts to publish `count` entries.
    pub(crate) fn begin(&mut self, count: u64, prng: &mut Prng) -> Result<(), Trouble> {
        for _ in 0..count {
            let id = self.id();
            let draft = match !self.small && prng.once_in(12) {
                true => Draft::large(id, prng),
                false => Draft::random(id, prng),
            };
            self.send(&draft)?;
        }
        Ok(())
    }

    /// Publishes entries until a sync from the first takes several commits; some are large.
    pub(crate) fn fill(&mut self, small: u64, large: u64, prng: &mut Prng) -> Result<(), Trouble> {
        for number in 0..small + large {
            let id = self.id();
            let draft = match number % 5 == 4 && number / 5 < large {
                true => Draft::large(id, prng),
                false => Draft::random(id, prng),
            };
            self.send(&draft)?;
            if self.under_way.len() >= 4 {
                self.settle()?;
            }
        }
        self.settle()
    }

    /// Waits until everything under way is acknowledged.
    pub(crate) fn settle(&mut self) -> Result<(), Trouble> {
        for (id, process) in std::mem::take(&mut self.under_way) {
            let ended = process.finish()?.expect_codes(&[0])?;
            if let Some(sequence) = acknowledged(&ended)? {
                note(&mut self.ledger, &id, sequence)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, draft: &Draft) -> Result<(), Trouble> {
        let process = start(&self.project, draft, &[])?;
        self.under_way.push((draft.id.clone(), process));
        Ok(())
    }

    fn id(&mut self) -> String {
        let id = format!("w{}", self.next);
        self.next += 1;
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_entries_and_sizes_differ() {
        let draw = |seed| {
            let mut prng = Prng::new(seed);
            let drafts: Vec<_> = (0..20)
                .map(|_| Draft::random("x".to_owned(), &mut prng))
                .collect();
            drafts
                .into_iter()
                .map(|draft| draft.text)
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let sizes: std::collections::BTreeSet<_> = draw(1).iter().map(String::len).collect();
        assert!(sizes.len() > 10, "{sizes:?}");
        let large = Draft::large("x".to_owned(), &mut Prng::new(1));
        assert!((600_000..1_000_000).contains(&large.text.len()));
    }

    #[test]
    fn two_answers_for_one_id_have_to_agree() {
        let mut ledger = Ledger::new();
        assert!(note(&mut ledger, "a", 1).is_ok());
        assert!(note(&mut ledger, "a", 1).is_ok());
        assert!(note(&mut ledger, "a", 2).is_err());
    }
}
