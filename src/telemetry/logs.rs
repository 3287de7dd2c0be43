//! Log set-up: lines to standard error, as JSON or text.
//!
//! Promises: fields are named by the shared words (`event.id`, `rule.id`, `notification.id`, `template.id`, `channel`, `attempt`,
//! `reply.code`, `duration_ms`); only this crate speaks below `warn`, whatever the filter says, because other crates'
//! debug lines quote addresses, headers and bodies.
//! Never: a person; standard output, which belongs to what people asked for.

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Log set-up that cannot be done.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LogError {
    #[error("log filter is not understood: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logs are already set up")]
    Twice,
}

/// Says whether a filter can be understood.
///
/// # Errors
/// When it cannot.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    directives(filter).map(drop)
}

/// Sets up the process's logs: `filter` as tracing directives, `json` for machines, else text. Once per process.
///
/// # Errors
/// When the filter cannot be understood, or logs are already set up.
pub fn init_logs(filter: &str, json: bool) -> Result<(), LogError> {
    let layer = layer(std::io::stderr, json, filter)?;
    tracing_subscriber::registry().with(layer).try_init().map_err(|_| LogError::Twice)
}

fn layer<W>(writer: W, json: bool, filter: &str) -> Result<Box<dyn Layer<Registry> + Send + Sync>, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // Without a hint of its own this filter would void the other's, and every trace line of the stores, thousands for
    // one contact, would be built and then dropped.
    let ours = filter_fn(is_ours_or_loud).with_max_level_hint(LevelFilter::TRACE);
    let filter = directives(filter)?.and(ours);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    Ok(if json {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).with_filter(filter).boxed()
    } else {
        lines.with_ansi(false).with_filter(filter).boxed()
    })
}

fn directives(filter: &str) -> Result<EnvFilter, LogError> {
    Ok(EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).parse(filter)?)
}

fn is_ours_or_loud(meta: &Metadata<'_>) -> bool {
    let ours = meta.target() == "sealpost" || meta.target().starts_with("sealpost::");
    ours || *meta.level() <= Level::WARN
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Page {
        type Writer = Self;
        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn filters_are_checked_before_they_are_used() {
        for filter in ["info", "warn,sealpost::dispatch=debug", "off", ""] {
            assert!(check_filter(filter).is_ok(), "{filter}");
        }
        for filter in ["info,=", "sealpost=loud", "[{"] {
            assert!(check_filter(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn other_crates_never_speak_below_warn() {
        let page = Page::default();
        let subscriber = tracing_subscriber::registry().with(layer(page.clone(), true, "trace").unwrap());
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "sealpost::dispatch", { notification.id = "n1" }, "ours");
            tracing::debug!(target: "hyper", "theirs, with an address in it");
            tracing::debug!(target: "sealposter", "not ours either");
            tracing::warn!(target: "hyper", "theirs and loud");
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
        assert_eq!(messages, ["ours", "theirs and loud"]);
        assert_eq!(lines[0]["notification.id"], "n1");
    }
}
