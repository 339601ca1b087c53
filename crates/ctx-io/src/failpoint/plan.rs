//! What the environment asks for, read. Pure.

use camino::Utf8PathBuf;
use rustix::io::Errno;

/// What a whole value asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// To print the steps.
    List,
    /// What happens where.
    Rules(Vec<Rule>),
}

/// What happens at one step.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) step: String,
    /// Only where the step is about a file of this name.
    pub(super) file: Option<String>,
    pub(super) when: When,
    pub(super) action: Action,
}

/// At which of the times that a rule fits it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    Only(u64),
    From(u64),
}

/// What happens.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Kill,
    Note(Utf8PathBuf),
    Hold(Utf8PathBuf),
    Wait(Utf8PathBuf),
    Fail(Errno),
}

/// The errors that can be named.
const ERRORS: [(&str, Errno); 16] = [
    ("EACCES", Errno::ACCESS),
    ("EAGAIN", Errno::AGAIN),
    ("EDQUOT", Errno::DQUOT),
    ("EFBIG", Errno::FBIG),
    ("EINTR", Errno::INTR),
    ("EINVAL", Errno::INVAL),
    ("EIO", Errno::IO),
    ("EMFILE", Errno::MFILE),
    ("ENOENT", Errno::NOENT),
    ("ENOLCK", Errno::NOLCK),
    ("ENOSPC", Errno::NOSPC),
    ("ENOSYS", Errno::NOSYS),
    ("EOPNOTSUPP", Errno::OPNOTSUPP),
    ("EPERM", Errno::PERM),
    ("EROFS", Errno::ROFS),
    ("ESTALE", Errno::STALE),
];

/// Reads the value of the variable; `known` are the steps that exist.
pub(super) fn read(value: &str, known: &[&str]) -> Result<Plan, String> {
    if value.trim() == "list" {
        return Ok(Plan::List);
    }
    let texts = value
        .split(';')
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let rules: Vec<Rule> = texts
        .map(|text| rule(text, known).map_err(|why| format!("`{text}`: {why}")))
        .collect::<Result<_, _>>()?;
    if rules.is_empty() {
        return Err("it holds no rule".to_owned());
    }
    Ok(Plan::Rules(rules))
}

fn rule(text: &str, known: &[&str]) -> Result<Rule, String> {
    let (place, action) = text.split_once('=').ok_or("there is no `=`")?;
    let (place, when) = match place.split_once('#') {
        None => (place, When::Always),
        Some((place, number)) => (place, when(number)?),
    };
    let (step, file) = match place.split_once('(') {
        None => (place, None),
        Some((step, rest)) => {
            let file = rest.strip_suffix(')').filter(|file| !file.is_empty());
            (
                step,
                Some(file.ok_or("`(` without a name and `)`")?.to_owned()),
            )
        }
    };
    if !known.contains(&step) {
        return Err(format!("there is no step `{step}`; `list` shows them"));
    }
    Ok(Rule {
        step: step.to_owned(),
        file,
        when,
        action: self::action(action)?,
    })
}

fn when(number: &str) -> Result<When, String> {
    let (digits, when): (_, fn(u64) -> When) = match number.strip_suffix('+') {
        Some(digits) => (digits, When::From),
        None => (number, When::Only),
    };
    match digits.parse() {
        Ok(number) if number > 0 => Ok(when(number)),
        _ => Err(format!("`{number}` is no count from 1 on")),
    }
}

fn action(text: &str) -> Result<Action, String> {
    let path = |path: &str| match path {
        "" => Err("the path is empty".to_owned()),
        path => Ok(Utf8PathBuf::from(path)),
    };
    match text.split_once(':') {
        None if text == "kill" => Ok(Action::Kill),
        Some(("note", at)) => path(at).map(Action::Note),
        Some(("hold", at)) => path(at).map(Action::Hold),
        Some(("wait", at)) => path(at).map(Action::Wait),
        _ => ERRORS
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, errno)| Action::Fail(*errno))
            .ok_or_else(|| format!("there is no action `{text}`")),
    }
}

impl When {
    /// Whether it applies the `hit`-th time, counted from 1.
    pub(super) const fn applies(self, hit: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Only(number) => hit == number,
            Self::From(number) => hit >= number,
        }
    }
}

impl Rule {
    /// Whether it is about the step `name`, of a file called `file` if it is about one.
    pub(super) fn fits(&self, name: &str, file: Option<&str>) -> bool {
        self.step == name
            && self
                .file
                .as_deref()
                .is_none_or(|wanted| file == Some(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["a.b", "c.d"];

    fn rules(value: &str) -> Vec<Rule> {
        match read(value, KNOWN) {
            Ok(Plan::Rules(rules)) => rules,
            other => panic!("{value}: {other:?}"),
        }
    }

    #[test]
    fn a_value_is_a_list_of_rules() {
        let found = rules("a.b=kill; c.d(.x-1.json)#3=ENOSPC;a.b#2+=hold:/t/x;c.d=wait:y ;");
        let rule = |step: &str, file: Option<&str>, when, action| Rule {
            step: step.to_owned(),
            file: file.map(str::to_owned),
            when,
            action,
        };
        let want = [
            rule("a.b", None, When::Always, Action::Kill),
            rule(
                "c.d",
                Some(".x-1.json"),
                When::Only(3),
                Action::Fail(Errno::NOSPC),
            ),
            rule("a.b", None, When::From(2), Action::Hold("/t/x".into())),
            rule("c.d", None, When::Always, Action::Wait("y".into())),
        ];
        assert_eq!(found, want);
        assert_eq!(read(" list ", KNOWN), Ok(Plan::List));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for value in [
            "",
            ";",
            "a.b",
            "=kill",
            "x=kill",
            "a.b=",
            "a.b=die",
            "a.b=eio",
            "a.b#=kill",
            "a.b#0=kill",
            "a.b#-1=kill",
            "a.b#+=kill",
            "a.b#x=kill",
            "a.b(=kill",
            "a.b()=kill",
            "a.b(x=kill",
            "a.b(x)y=kill",
            "a.b=hold:",
            "a.b=wait:",
            "a.b=hold",
            "a.b=kill;c.x=kill",
            "a.b =kill",
            "lists",
        ] {
            assert!(read(value, KNOWN).is_err(), "{value}");
        }
        let why = read("a.b=kill; c.x=EIO", KNOWN).unwrap_err();
        assert_eq!(why, "`c.x=EIO`: there is no step `c.x`; `list` shows them");
    }

    #[test]
    fn a_rule_fits_its_step_and_if_it_names_one_its_file() {
        let found = rules("a.b=kill;a.b(f)=kill");
        let fits = |name, file| [found[0].fits(name, file), found[1].fits(name, file)];
        assert_eq!(fits("a.b", None), [true, false]);
        assert_eq!(fits("a.b", Some("f")), [true, true]);
        assert_eq!(fits("a.b", Some("g")), [true, false]);
        assert_eq!(fits("c.d", Some("f")), [false, false]);
    }

    #[test]
    fn a_number_is_one_time_or_from_then_on() {
        let applies = |when: When| [1, 2, 3].map(|hit| when.applies(hit));
        assert_eq!(applies(When::Always), [true, true, true]);
        assert_eq!(applies(When::Only(2)), [false, true, false]);
        assert_eq!(applies(When::From(2)), [false, true, true]);
    }
}
