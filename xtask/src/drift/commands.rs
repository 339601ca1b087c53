//! Every command that a document tells a reader to type exists, with its flags.
//!
//! `ctx` commands are looked up in the generated reference: a heading names a command by its whole
//! path (``### `ctx connect sync` ``), the first column of the table below it names the flags, and a
//! line ``Also spelled `connection`.`` other names. Flags of `ctx` itself and under the heading
//! `Global options` hold for every command. `cargo xtask` commands are looked up in this program.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use clap::CommandFactory;

use crate::args::Args;
use crate::drift::{cli, packaging};
use crate::error::CheckError;
use crate::files::{self, Text};
use crate::finding::Finding;
use crate::markdown;

const RULE: &str = "command";

/// What may be typed.
#[derive(Default)]
struct Known {
    /// The path of each command (`ctx connect sync`) and its long flags.
    flags: BTreeMap<String, BTreeSet<String>>,
    /// Other paths of commands, and the path that stands in `flags`.
    aliases: BTreeMap<String, String>,
}

/// Looks up every command of every shell block, and of every file of a packager.
pub(super) fn check(root: &Utf8Path, documents: &[Text]) -> Result<Vec<Finding>, CheckError> {
    let page = files::read(root, cli::PAGE, "run `cargo xtask drift --fix`")?;
    let mut known = from_page(&page);
    if !known.flags.contains_key("ctx") {
        return Err(CheckError::Missing {
            what: format!("{} has no heading `ctx`", cli::PAGE),
            hint: "its headings name the commands, `ctx` itself included".to_owned(),
        });
    }
    from_clap(&mut known, "cargo xtask", Args::command());
    let mut findings = Vec::new();
    for document in documents {
        let typed = match packaging::is_packaging(document) {
            true => packaging::lines(&document.content)
                .into_iter()
                .flat_map(|(line, text)| ours(&text).into_iter().map(move |words| (line, words)))
                .collect(),
            false => commands(&document.content),
        };
        for (line, words) in typed {
            if let Some(fault) = judge(&words, &known) {
                findings.push(Finding::new(document.path.as_path(), line, RULE, fault));
            }
        }
    }
    Ok(findings)
}

/// The commands of the generated reference.
fn from_page(page: &str) -> Known {
    let mut known = Known::default();
    let mut current: Option<String> = None;
    for (_, line) in markdown::prose(page) {
        if let Some(title) = line.strip_prefix('#') {
            let title = title.trim_start_matches('#').replace('`', "");
            current = command_path(&title);
            if let Some(path) = &current {
                known.flags.entry(path.clone()).or_default();
            }
        }
        let Some(path) = &current else { continue };
        if let Some(row) = line.strip_prefix('|') {
            let first = row.split('|').next().unwrap_or_default();
            known
                .flags
                .entry(path.clone())
                .or_default()
                .extend(flags(first));
        } else if let Some(names) = line.strip_prefix("Also spelled ") {
            let parent = path.rsplit_once(' ').map_or("", |(parent, _)| parent);
            for name in names.split('`').skip(1).step_by(2) {
                known
                    .aliases
                    .insert(format!("{parent} {name}"), path.clone());
            }
        }
    }
    known
}

/// The command that a heading names.
fn command_path(title: &str) -> Option<String> {
    if title.trim().eq_ignore_ascii_case("global options") {
        return Some("ctx".to_owned());
    }
    let path: Vec<&str> = title
        .split_whitespace()
        .take_while(|word| is_name(word))
        .collect();
    (path.first() == Some(&"ctx")).then(|| path.join(" "))
}

/// The long flags in a line of text.
fn flags(line: &str) -> impl Iterator<Item = String> + '_ {
    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(str::to_owned)
}

/// The commands of a clap definition, the flags that clap adds included.
fn from_clap(known: &mut Known, path: &str, mut command: clap::Command) {
    command.build();
    let long = |arg: &clap::Arg| arg.get_long().map(|long| format!("--{long}"));
    let flags = command.get_arguments().filter_map(long).collect();
    known.flags.insert(path.to_owned(), flags);
    for inner in command.get_subcommands() {
        from_clap(
            known,
            &format!("{path} {}", inner.get_name()),
            inner.clone(),
        );
    }
}

/// A word that can name a subcommand.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// The commands of ours in the shell blocks of a document, each as its words.
fn commands(document: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for fence in markdown::fences(document) {
        let language = fence.info.split_whitespace().next().unwrap_or_default();
        let typed = |line: &'_ str| match language {
            "sh" | "bash" => Some(line.trim_start().trim_start_matches("$ ").to_owned()),
            // In a transcript only lines after the prompt were typed.
            "console" => line.trim_start().strip_prefix("$ ").map(str::to_owned),
            _ => None,
        };
        let mut pending: Option<(usize, String)> = None;
        for (number, line) in &fence.lines {
            let (first, mut text) = match pending.take() {
                Some((first, before)) => (first, format!("{before} {}", line.trim())),
                None => match typed(line) {
                    Some(text) => (*number, text),
                    None => continue,
                },
            };
            if let Some(continued) = text.strip_suffix('\\') {
                text.truncate(continued.len());
                pending = Some((first, text));
                continue;
            }
            found.extend(ours(&text).into_iter().map(|words| (first, words)));
        }
    }
    found
}

/// The commands of ours in one line: each part of a pipeline, without what only starts it.
fn ours(line: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for words in shell_words(line) {
        let is_variable = |word: &String| {
            word.split_once('=').is_some_and(|(name, _)| {
                name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            })
        };
        let mut words: Vec<String> = words.into_iter().skip_while(is_variable).collect();
        let starts = |words: &[String], with: [&str; 2]| {
            words.len() >= 2 && words[0] == with[0] && words[1] == with[1]
        };
        if starts(&words, ["cargo", "run"]) {
            let own = words
                .iter()
                .position(|word| word == "--")
                .map_or(words.len(), |at| at + 1);
            words.drain(..own);
            words.insert(0, "ctx".to_owned());
        } else if starts(&words, ["cargo", "xtask"]) {
            words.splice(..2, ["cargo xtask".to_owned()]);
        }
        if let Some(program) = words.first_mut() {
            if program.ends_with("/ctx") {
                "ctx".clone_into(program);
            }
            if program == "ctx" || program == "cargo xtask" {
                found.push(words);
            }
        }
    }
    found
}

/// The words of each command in a line of shell; quotes group, `#` ends the line.
fn shell_words(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars().chain([' ']) {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ' | '|' | ';' | '&' | '(' | ')') => {
                if let (Some(done), Some(command)) = (word.take(), commands.last_mut()) {
                    command.push(done);
                }
                if c != ' ' {
                    commands.push(Vec::new());
                }
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    commands.retain(|command| !command.is_empty());
    commands
}

/// What is wrong with a command, given what may be typed.
fn judge(words: &[String], known: &Known) -> Option<String> {
    let program = words.first()?.clone();
    let mut path = program.clone();
    let mut unknown = None;
    let mut used = BTreeSet::new();
    for word in words.iter().skip(1) {
        if word == "--" {
            break;
        }
        if let Some(flag) = word.strip_prefix("--") {
            used.insert(format!("--{}", flag.split('=').next().unwrap_or(flag)));
        } else if let Some(longer) = known.longer(&path, word) {
            path = longer;
        } else if used.is_empty() && known.has_children(&path) && is_name(word) {
            unknown.get_or_insert(word);
        }
    }
    if let Some(word) = unknown {
        return Some(format!("`{path}` has no subcommand `{word}`"));
    }
    let global = known
        .flags
        .get(&program)
        .into_iter()
        .chain(known.flags.get(&path))
        .flatten();
    let allowed: BTreeSet<&String> = global.collect();
    let built_in = |flag: &&String| *flag == "--help" || *flag == "--version";
    let flag = used
        .iter()
        .find(|flag| !allowed.contains(flag) && !built_in(flag))?;
    Some(format!("`{path}` has no flag `{flag}`"))
}

impl Known {
    /// The path of the subcommand that `word` names below `path`.
    fn longer(&self, path: &str, word: &str) -> Option<String> {
        let longer = format!("{path} {word}");
        let known = self.flags.contains_key(&longer).then(|| longer.clone());
        known.or_else(|| self.aliases.get(&longer).cloned())
    }

    /// True for a command that is a group of others.
    fn has_children(&self, path: &str) -> bool {
        let is_child = |known: &String| {
            known
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with(' '))
        };
        self.flags.keys().any(is_child)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, lines};

    const PAGE: &str = "# Command line\n\n## `ctx`\n\n### `ctx connect`\n\n\
        Also spelled `connection`, `conn`.\n\n#### `ctx connect sync`\n\n\
        | argument | meaning |\n|---|---|\n| `--wait <DURATION>` | not --hurry |\n\n\
        ```sh\n# ctx comment\nctx connect sync --wait 1s\n```\n\n\
        #### `ctx connect publish`\n\n### `ctx demo`\n\n\
        ## Global options\n\n| argument | meaning |\n|---|---|\n| `-q, --json` | x |\n";

    fn found(content: &str) -> Vec<String> {
        let sandbox = Sandbox::new();
        sandbox.write(cli::PAGE, PAGE);
        let document = |path: &str, content: &str| Text {
            path: path.into(),
            content: content.to_owned(),
        };
        let documents = [document("README.md", content), document(cli::PAGE, PAGE)];
        lines(check(sandbox.root(), &documents).unwrap())
    }

    #[test]
    fn commands_that_exist_pass_however_they_are_started() {
        let text = "```sh\n$ ctx --json connect sync --wait 30s # --gone\n\
            echo 'ctx gone' | ./target/release/ctx connect publish decision - --json\n\
            A=b cargo run --release --bin ctx -- demo && cargo xtask drift --fix\n\
            ctx connect publish task \"do --this\" \\\n    --json\nctx --version\n\
            cargo xtask codegen --check\nctx conn sync --wait 1s\n```\n";
        assert_eq!(found(text), Vec::<String>::new());
    }

    #[test]
    fn every_command_and_flag_that_does_not_exist_is_found() {
        let text = "```sh\nctx conect sync\nctx connect synk again\nctx connect sync --hurry\n\
            cargo run --bin ctx -- demo --hurry\ncargo xtask lint\ncargo xtask tidy --fix\n\
            true; ctx connect publish task \\\n  --hurry=1\n```\n\
            ```console\n$ ctx gone\nctx connect output\n```\n";
        let want = [
            "README.md:2: command: `ctx` has no subcommand `conect`",
            "README.md:3: command: `ctx connect` has no subcommand `synk`",
            "README.md:4: command: `ctx connect sync` has no flag `--hurry`",
            "README.md:5: command: `ctx demo` has no flag `--hurry`",
            "README.md:6: command: `cargo xtask` has no subcommand `lint`",
            "README.md:7: command: `cargo xtask tidy` has no flag `--fix`",
            "README.md:8: command: `ctx connect publish` has no flag `--hurry`",
            "README.md:12: command: `ctx` has no subcommand `gone`",
        ];
        assert_eq!(found(text), want);
    }

    #[test]
    fn blocks_of_other_languages_and_prose_are_not_commands() {
        let text = "ctx gone\n\n```text\nctx gone\n```\n```rust\nctx gone\n```\n";
        assert_eq!(found(text), Vec::<String>::new());
    }

    #[test]
    fn the_files_of_a_packager_are_held_to_the_same() {
        let sandbox = Sandbox::new();
        sandbox.write(cli::PAGE, PAGE);
        let unit = Text {
            path: "packaging/ctx.service".into(),
            content: "ExecStart=/usr/bin/ctx connect sync --hurry\nExecStop=ctx demo\n".to_owned(),
        };
        assert_eq!(
            lines(check(sandbox.root(), &[unit]).unwrap()),
            ["packaging/ctx.service:1: command: `ctx connect sync` has no flag `--hurry`"]
        );
    }

    #[test]
    fn a_reference_without_commands_is_an_error() {
        let sandbox = Sandbox::new();
        sandbox.write(cli::PAGE, "# Nothing\n");
        let error = check(sandbox.root(), &[]).unwrap_err().explain();
        assert!(error.contains("no heading `ctx`"), "{error}");
    }
}
