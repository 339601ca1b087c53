//! What a scenario counted, and the table of all of them.

use std::time::Duration;

/// The counts of one scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The name of the scenario.
    pub(crate) scenario: &'static str,
    /// Repetitions, each with its own choices.
    pub(crate) rounds: u64,
    /// Processes killed, or faults put in the way.
    pub(crate) faults: u64,
    /// Entries published.
    pub(crate) published: u64,
    /// Entries that should have been there and were not.
    pub(crate) lost: u64,
    /// Entries that were there more often than once.
    pub(crate) duplicated: u64,
    /// Locks and unfinished files that stayed behind.
    pub(crate) left: u64,
    /// Processes that did not end.
    pub(crate) wedged: u64,
    /// Anything else that is not as it should be: bytes, order, exit codes.
    pub(crate) other: u64,
    /// The longest that it took to be whole again after the last fault of a round.
    pub(crate) worst: Duration,
    /// Why the scenario could not be tried on this machine.
    pub(crate) impossible: Option<String>,
    /// What of it could not be tried, and why.
    pub(crate) left_out: Vec<String>,
}

const HEADINGS: [&str; 10] = [
    "scenario",
    "rounds",
    "kills or faults",
    "published",
    "lost",
    "duplicated",
    "left behind",
    "wedged",
    "other",
    "worst recovery",
];

impl Tally {
    /// Nothing counted yet.
    pub(crate) fn new(scenario: &'static str) -> Self {
        Self {
            scenario,
            ..Self::default()
        }
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_clean(&self) -> bool {
        [
            self.lost,
            self.duplicated,
            self.left,
            self.wedged,
            self.other,
        ] == [0; 5]
    }

    /// Remembers the longest recovery.
    pub(crate) fn recovered(&mut self, took: Duration) {
        self.worst = self.worst.max(took);
    }

    /// What is wrong, for one line; empty when nothing is.
    pub(crate) fn faults_found(&self) -> String {
        let counts = [
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("left behind", self.left),
            ("wedged", self.wedged),
            ("other", self.other),
        ];
        let found = counts.iter().filter(|(_, count)| *count > 0);
        let words: Vec<_> = found
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        if words.is_empty() {
            return "nothing found".to_owned();
        }
        words.join(", ")
    }

    fn cells(&self) -> [String; 10] {
        [
            self.scenario.to_owned(),
            self.rounds.to_string(),
            self.faults.to_string(),
            self.published.to_string(),
            self.lost.to_string(),
            self.duplicated.to_string(),
            self.left.to_string(),
            self.wedged.to_string(),
            self.other.to_string(),
            match self.impossible {
                Some(_) => "not possible here".to_owned(),
                None => format!("{:.3} s", self.worst.as_secs_f64()),
            },
        ]
    }
}

/// All of them as a Markdown table.
pub(crate) fn table(tallies: &[Tally]) -> String {
    let headings = HEADINGS.map(str::to_owned);
    let mut rows = vec![headings];
    rows.extend(tallies.iter().map(Tally::cells));
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(String::len).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let line = |row: &[String; 10]| {
        let cells = row.iter().zip(&widths).enumerate();
        let padded = cells.map(|(column, (cell, &wide))| match column {
            0 => format!("{cell:<wide$}"),
            _ => format!("{cell:>wide$}"),
        });
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let dashes = widths.iter().enumerate().map(|(column, &wide)| {
        let rule = "-".repeat(wide.saturating_sub(usize::from(column > 0)));
        if column == 0 { rule } else { rule + ":" }
    });
    let rule = format!("| {} |\n", dashes.collect::<Vec<_>>().join(" | "));
    let mut lines = rows.iter().map(line);
    let mut text = lines.next().unwrap_or_default() + &rule;
    text.extend(lines);
    text
}

/// What could not be tried on this machine, a line each.
pub(crate) fn remarks(tallies: &[Tally]) -> Vec<String> {
    let of = |tally: &Tally| {
        let parts = tally.impossible.iter().chain(&tally.left_out);
        let line = |part: &String| format!("{}: not possible here: {part}", tally.scenario);
        parts.map(line).collect::<Vec<_>>()
    };
    tallies.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_fault_makes_a_tally_unclean() {
        let mut tally = Tally::new("x");
        tally.rounds = 7;
        tally.faults = 9;
        tally.published = 3;
        assert!(tally.is_clean());
        let plant: [fn(&mut Tally); 5] = [
            |tally| tally.lost = 1,
            |tally| tally.duplicated = 2,
            |tally| tally.left = 3,
            |tally| tally.wedged = 4,
            |tally| tally.other = 5,
        ];
        let words = plant.map(|fault| {
            let mut bad = tally.clone();
            fault(&mut bad);
            assert!(!bad.is_clean(), "{bad:?}");
            bad.faults_found()
        });
        let want = ["1 lost", "2 duplicated", "3 left behind", "4 wedged"];
        assert_eq!(words[..4], want);
        assert_eq!(words[4], "5 other");
    }

    #[test]
    fn the_table_has_a_line_for_each_scenario_and_the_longest_recovery() {
        let mut tally = Tally::new("sync-killed");
        tally.rounds = 1200;
        tally.recovered(Duration::from_millis(1500));
        tally.recovered(Duration::from_millis(20));
        let want = "\
| scenario    | rounds | kills or faults | published | lost | duplicated | left behind | wedged | other | worst recovery |
| ----------- | -----: | --------------: | --------: | ---: | ---------: | ----------: | -----: | ----: | -------------: |
| sync-killed |   1200 |               0 |         0 |    0 |          0 |           0 |      0 |     0 |        1.500 s |
";
        assert_eq!(table(&[tally]), want);
    }

    #[test]
    fn what_could_not_be_tried_is_said_and_is_no_fault() {
        let mut whole = Tally::new("disk");
        whole.impossible = Some("no mount".to_owned());
        let mut part = Tally::new("damage");
        part.left_out.push("permissions: no other user".to_owned());
        assert!(whole.is_clean() && part.is_clean());
        assert!(table(std::slice::from_ref(&whole)).contains("| not possible here |"));
        let want = [
            "disk: not possible here: no mount",
            "damage: not possible here: permissions: no other user",
        ];
        assert_eq!(remarks(&[whole, part]), want);
    }
}
