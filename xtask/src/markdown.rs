//! The little of Markdown that the checks read: fenced blocks, prose lines and tables.

/// A block between fences.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fence<'a> {
    /// What stands after the opening fence: the language and its words.
    pub(crate) info: &'a str,
    /// Its lines, each with its number.
    pub(crate) lines: Vec<(usize, &'a str)>,
}

/// A table whose cells are trimmed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Table<'a> {
    /// The cells of its first line.
    pub(crate) header: Vec<&'a str>,
    /// The cells of the lines below the rule, each with its number.
    pub(crate) rows: Vec<(usize, Vec<&'a str>)>,
}

impl Table<'_> {
    /// The position of a column, whatever the case of its title.
    pub(crate) fn column(&self, title: &str) -> Option<usize> {
        self.header
            .iter()
            .position(|cell| cell.eq_ignore_ascii_case(title))
    }
}

/// Every fenced block.
pub(crate) fn fences(text: &str) -> Vec<Fence<'_>> {
    split(text).0
}

/// Every line outside fenced blocks, with its number.
pub(crate) fn prose(text: &str) -> Vec<(usize, &str)> {
    split(text).1
}

fn split(text: &str) -> (Vec<Fence<'_>>, Vec<(usize, &str)>) {
    let mut fences: Vec<Fence<'_>> = Vec::new();
    let mut prose = Vec::new();
    let mut closing: Option<&str> = None;
    for (index, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        let mark = ["```", "~~~"]
            .into_iter()
            .find(|mark| bare.starts_with(mark));
        match (closing, mark) {
            (None, Some(mark)) => {
                let info = bare.trim_start_matches(['`', '~']).trim();
                fences.push(Fence {
                    info,
                    lines: Vec::new(),
                });
                closing = Some(mark);
            }
            (Some(open), Some(mark)) if open == mark => closing = None,
            (Some(_), _) => {
                if let Some(fence) = fences.last_mut() {
                    fence.lines.push((index + 1, line));
                }
            }
            (None, None) => prose.push((index + 1, line)),
        }
    }
    (fences, prose)
}

/// Every table outside fenced blocks.
pub(crate) fn tables(text: &str) -> Vec<Table<'_>> {
    let mut tables: Vec<Table<'_>> = Vec::new();
    let mut previous: Option<(usize, Vec<&str>)> = None;
    let mut inside = false;
    for (number, line) in prose(text) {
        let Some(cells) = cells(line) else {
            previous = None;
            inside = false;
            continue;
        };
        let follows = previous
            .as_ref()
            .is_some_and(|(before, _)| before + 1 == number);
        if cells.iter().all(|cell| is_rule(cell)) && follows && !inside {
            let header = previous
                .take()
                .map(|(_, header)| header)
                .unwrap_or_default();
            tables.push(Table {
                header,
                rows: Vec::new(),
            });
            inside = true;
        } else if let (true, Some(table)) = (inside, tables.last_mut()) {
            table.rows.push((number, cells));
        } else {
            previous = Some((number, cells));
        }
    }
    tables
}

/// The cells of a line of a table; `\|` does not part cells.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?;
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    let mut cells = Vec::new();
    let mut start = 0;
    for (at, _) in inner.match_indices('|') {
        if !inner[..at].ends_with('\\') {
            cells.push(inner[start..at].trim());
            start = at + 1;
        }
    }
    cells.push(inner[start..].trim());
    Some(cells)
}

fn is_rule(cell: &str) -> bool {
    cell.contains('-') && cell.chars().all(|c| c == '-' || c == ':')
}

/// A piece of a line: code between backticks, or what stands outside.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Span<'a> {
    /// Inside backticks.
    Code(&'a str),
    /// Outside.
    Plain(&'a str),
}

/// Parts a line into code and what stands outside; as many backticks close as opened.
pub(crate) fn spans(line: &str) -> Vec<Span<'_>> {
    let mut spans = Vec::new();
    let mut rest = line;
    while let Some(open) = rest.find('`') {
        let (before, from) = rest.split_at(open);
        let inside = from.trim_start_matches('`');
        let ticks = from.len() - inside.len();
        let Some((code, after)) = closed(inside, ticks) else {
            break;
        };
        spans.extend([Span::Plain(before), Span::Code(code)]);
        rest = after;
    }
    spans.push(Span::Plain(rest));
    spans
}

/// What stands before and after the next run of exactly `ticks` backticks.
fn closed(text: &str, ticks: usize) -> Option<(&str, &str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find('`').map(|at| from + at) {
        let after = text[at..].trim_start_matches('`');
        if text.len() - at - after.len() == ticks {
            return Some((&text[..at], after));
        }
        from = text.len() - after.len();
    }
    None
}

/// A cell or word without the backticks around it.
pub(crate) fn bare(text: &str) -> &str {
    text.trim().trim_matches('`').trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_keep_their_words_and_line_numbers() {
        let text = "a\n```sh\nls\n~~~\n```\nb\n~~~text workspace\nx\n~~~\n";
        let want = [
            Fence {
                info: "sh",
                lines: vec![(3, "ls"), (4, "~~~")],
            },
            Fence {
                info: "text workspace",
                lines: vec![(8, "x")],
            },
        ];
        assert_eq!(fences(text), want);
        assert_eq!(prose(text), [(1, "a"), (6, "b")]);
    }

    #[test]
    fn tables_are_read_with_escaped_bars() {
        let text = "x\n\n| Name | `value` |\n|---|:-:|\n| `a \\| b` | 2 |\n\n| not | a table |\n";
        let tables = tables(text);
        assert_eq!(tables.len(), 1);
        assert_eq!(tables[0].column("name"), Some(0));
        assert_eq!(tables[0].rows, [(5, vec!["`a \\| b`", "2"])]);
    }

    #[test]
    fn spans_part_code_from_the_rest() {
        use Span::{Code, Plain};
        let cases: [(&str, &[Span<'_>]); 4] = [
            ("a", &[Plain("a")]),
            ("`a` b", &[Plain(""), Code("a"), Plain(" b")]),
            ("x `` `a` `` y", &[Plain("x "), Code(" `a` "), Plain(" y")]),
            ("a ` b", &[Plain("a ` b")]),
        ];
        for (line, want) in cases {
            assert_eq!(spans(line), want, "{line}");
        }
    }
}
