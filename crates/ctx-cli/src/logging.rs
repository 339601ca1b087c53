//! The diagnostic log: standard error only, and silent unless asked for.

use ctx_hub::server::settings::{self, Settings};
use tracing_subscriber::EnvFilter;

use crate::args::{Args, Command, Hub, LogFormat};
use crate::env::Environment;
use crate::ui::Screen;

/// Starts the log at the level that the command line or the environment asks for.
///
/// A hub warns by itself, for nobody looks over its shoulder; every other command reports what
/// matters in its result.
///
/// A filter in the environment that is none is warned of, and counts for nothing.
pub(crate) fn start(args: &Args, env: &Environment, screen: &Screen) {
    let serves = matches!(&args.command, Command::Hub(Hub::Start(start)) if !start.check);
    let level = match (args.global.verbose, serves) {
        (0, false) => "off",
        (0, true) => "warn",
        (1, _) => "warn,ctx=info,ctx_hub=info,ctx_io=info",
        (2, _) => "info,ctx=debug,ctx_hub=debug,ctx_io=debug",
        (_, _) => "trace",
    };
    let asked = env.log().and_then(|asked| {
        let filter = EnvFilter::builder().parse(&asked);
        let warn = |error| {
            let message = format!("{} holds no filter: {error}", ctx_config::env::LOG);
            screen.warning(
                &message,
                Some("write it as debug, or as ctx_hub=trace,warn"),
            );
        };
        filter.map_err(warn).ok()
    });
    let filter = asked.unwrap_or_else(|| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(screen.colours_stderr())
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    // Fails only when a log was started before, and this is the only place that starts one.
    if screen.logs_json() {
        let log = log.json().flatten_event(true);
        let log = log.with_current_span(false).with_span_list(false);
        log.try_init().ok();
    } else {
        log.try_init().ok();
    }
}

/// How standard error is written: as the command line says, else for a hub as its settings say. What
/// is wrong with those, the hub says when it reads them.
pub(crate) fn format(args: &Args, env: &Environment) -> LogFormat {
    if let Some(asked) = args.global.log_format {
        return asked;
    }
    let Command::Hub(Hub::Start(start)) = &args.command else {
        return LogFormat::Text;
    };
    let data = env.data_dir(start.at.data_dir.as_deref()).ok();
    let read = data.and_then(|data| Settings::read(&data, start.config.as_deref()).ok());
    match read.map(|settings| settings.log.format) {
        Some(settings::LogFormat::Json) => LogFormat::Json,
        _ => LogFormat::Text,
    }
}
