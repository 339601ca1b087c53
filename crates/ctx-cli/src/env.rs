//! The surroundings of the process: folder, variables, terminal, clock. Read here and nowhere else.

use std::ffi::OsString;
use std::io::IsTerminal as _;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::env;
use ctx_config::paths::{DataDir, UserDir};

use crate::error::CliError;
use crate::exit::Exit;

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `ctx` was started in. A value that cannot be used is an error only for who asks for it.
#[derive(Debug)]
pub(crate) struct Environment {
    home: Option<OsString>,
    admin_token: Option<OsString>,
    invitation: Option<OsString>,
    log: Option<OsString>,
    no_color: bool,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
}

impl Environment {
    /// Reads everything, once.
    pub(crate) fn read() -> Self {
        let not_empty = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            home: not_empty(env::HOME),
            admin_token: not_empty(env::ADMIN_TOKEN),
            invitation: not_empty(env::INVITATION),
            log: not_empty(env::LOG),
            no_color: not_empty(env::NO_COLOR).is_some(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// The same surroundings for a story that must not touch the person's own: another home, no
    /// admin token.
    pub(crate) fn with_home(&self, home: &Utf8Path) -> Self {
        Self {
            home: Some(home.as_os_str().to_owned()),
            admin_token: None,
            invitation: None,
            log: self.log.clone(),
            ..*self
        }
    }

    /// The folder of the person.
    ///
    /// # Errors
    /// `HOME` is not set, not absolute or not UTF-8.
    pub(crate) fn user_dir(&self) -> Result<UserDir, CliError> {
        let home = self.home.as_ref().ok_or_else(|| {
            CliError::new(Exit::NotSetUp, "HOME is not set")
                .hint("set HOME: the key that seals connection files lives under it")
        })?;
        let home = utf8("HOME", home.clone())?;
        if home.is_absolute() {
            Ok(UserDir::under_home(&home))
        } else {
            Err(CliError::new(
                Exit::NotSetUp,
                format!("HOME is {home}, not an absolute path"),
            )
            .hint("set HOME to the path of your home directory"))
        }
    }

    /// The data directory that was asked for, else the one under the home directory; absolute.
    ///
    /// # Errors
    /// None was asked for and there is no home directory, or the current directory is gone.
    pub(crate) fn data_dir(&self, asked: Option<&Utf8Path>) -> Result<DataDir, CliError> {
        match asked {
            Some(path) => Ok(DataDir::new(absolute(path)?)),
            None => match self.user_dir() {
                Ok(user) => Ok(user.hub_data()),
                Err(error) => Err(error.hint("set HOME, or name a data directory with --data-dir")),
            },
        }
    }

    /// The admin token that the environment holds; not checked yet.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub(crate) fn admin_token(&self) -> Result<Option<String>, CliError> {
        secret(env::ADMIN_TOKEN, self.admin_token.as_ref())
    }

    /// The invitation that the environment holds; not checked yet.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub(crate) fn invitation(&self) -> Result<Option<String>, CliError> {
        secret(env::INVITATION, self.invitation.as_ref())
    }

    /// The filter of the diagnostic log, if one is set.
    pub(crate) fn log(&self) -> Option<String> {
        self.log
            .as_ref()
            .map(|filter| filter.to_string_lossy().into_owned())
    }

    /// Whether standard output may be coloured.
    pub(crate) const fn stdout_takes_colour(&self) -> bool {
        self.stdout_is_terminal && !self.no_color
    }

    /// Whether somebody watches standard error.
    pub(crate) const fn stderr_is_terminal(&self) -> bool {
        self.stderr_is_terminal
    }

    /// Whether standard error may be coloured.
    pub(crate) const fn stderr_takes_colour(&self) -> bool {
        self.stderr_is_terminal && !self.no_color
    }
}

/// The value of a variable. It is not repeated: it may be most of a secret.
fn secret(name: &str, value: Option<&OsString>) -> Result<Option<String>, CliError> {
    let Some(value) = value.cloned() else {
        return Ok(None);
    };
    let text = value.into_string();
    text.map(Some)
        .map_err(|_| CliError::usage(format!("{name} is not UTF-8")))
}

/// `path` from the root, without looking at it.
///
/// # Errors
/// The current directory is gone, or the path is not UTF-8.
pub(crate) fn absolute(path: &Utf8Path) -> Result<Utf8PathBuf, CliError> {
    let absolute = std::path::absolute(path).map_err(|source| {
        CliError::new(Exit::Failed, "cannot tell the current directory").because(source)
    })?;
    utf8("the current directory", absolute.into_os_string())
}

/// `path` with every link followed.
///
/// # Errors
/// There is nothing at `path`, or where it leads is not UTF-8.
pub(crate) fn canonical(path: &Utf8Path) -> Result<Utf8PathBuf, CliError> {
    let real = fs_err::canonicalize(path).map_err(|error| {
        CliError::new(Exit::Failed, format!("cannot find {path}")).because(error)
    })?;
    utf8("the path", real.into_os_string())
}

/// The program that runs.
///
/// # Errors
/// The system does not say, or its path is not UTF-8.
pub(crate) fn own_program() -> Result<Utf8PathBuf, CliError> {
    let path = std::env::current_exe().map_err(|source| {
        CliError::new(Exit::Failed, "cannot tell where the program ctx is").because(source)
    })?;
    utf8("the path of the program ctx", path.into_os_string())
}

/// This moment, in Unix seconds.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn utf8(what: &str, text: OsString) -> Result<Utf8PathBuf, CliError> {
    text.into_string().map(Utf8PathBuf::from).map_err(|text| {
        let shown = text.to_string_lossy();
        CliError::usage(format!("{what} is not UTF-8: {shown}"))
            .hint("ctx keeps paths in files and messages as text: use a path that is UTF-8")
    })
}
