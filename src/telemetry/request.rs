//! The request that a log line is about. It is kept beside the task, not as a span: a span costs its formatting for
//! every request, and almost no request logs anything. Lines ask for it when they are written.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use axum::http::{Method, Uri};
use serde::Serialize;
use tracing::Event;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;

tokio::task_local! {
    static CURRENT: Arc<RequestLine>;
}

/// What every line about a request says of it.
#[derive(Debug)]
pub struct RequestLine {
    /// The id that its answer carries.
    pub id: Arc<str>,
    /// Its method.
    pub method: Method,
    /// Its path, and its query, which is not logged.
    pub uri: Uri,
}

/// Has every line that `work` logs say that it is about `request`.
pub fn about<F: Future>(request: Arc<RequestLine>, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(request, work)
}

/// The same for work that is not a future.
pub fn about_now<T>(request: Arc<RequestLine>, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(request, work)
}

/// The request that this task is at work on.
#[must_use]
pub fn current() -> Option<Arc<RequestLine>> {
    CURRENT.try_get().ok()
}

/// Adds the request to the lines of another format.
#[derive(Debug)]
pub(super) struct WithRequest<F> {
    pub format: LogFormat,
    pub lines: F,
}

impl<S, N, F> FormatEvent<S, N> for WithRequest<F>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(request) = current() else { return self.lines.format_event(context, to, event) };
        let mut line = String::new();
        self.lines.format_event(context, Writer::new(&mut line), event)?;
        match self.format {
            LogFormat::Text => to.write_str(&about_text(&line, &request)),
            LogFormat::Json => to.write_str(&about_json(&line, &request)?),
        }
    }
}

fn about_text(line: &str, request: &RequestLine) -> String {
    let RequestLine { id, method, uri } = request;
    format!("{} request_id={id} method={method} path={}\n", line.trim_end(), uri.path())
}

/// The members of the request go first: an object begins with a brace, whatever else is in it.
fn about_json(line: &str, request: &RequestLine) -> Result<String, fmt::Error> {
    #[derive(Serialize)]
    struct Members<'a> {
        request_id: &'a str,
        method: &'a str,
        path: &'a str,
    }
    let members = Members { request_id: &request.id, method: request.method.as_str(), path: request.uri.path() };
    let members = serde_json::to_string(&members).map_err(|_| fmt::Error)?;
    let rest = line.strip_prefix('{').ok_or(fmt::Error)?;
    let members = members.strip_suffix('}').ok_or(fmt::Error)?;
    Ok(format!("{members},{rest}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged in one format: a line outside of any request, and one about a request.
    fn lines(format: LogFormat) -> Vec<String> {
        let written = Written::default();
        let to = written.clone();
        let subscriber = super::super::subscriber("info", format, false, move || to.clone());
        let request = Arc::new(RequestLine {
            id: Arc::from("till\"3"),
            method: Method::GET,
            uri: Uri::from_static("/skus/TEA?pool=x"),
        });
        tracing::dispatcher::with_default(&subscriber, || {
            tracing::info!("started");
            about_now(request, || tracing::warn!(status = 503, "answered"));
        });
        let bytes = written.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_about_a_request_names_it_for_people() {
        let lines = lines(LogFormat::Text);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with("started"), "{lines:?}");
        assert!(lines[1].contains("WARN") && lines[1].contains("answered status=503"), "{lines:?}");
        assert!(lines[1].ends_with(" request_id=till\"3 method=GET path=/skus/TEA"), "{lines:?}");
    }

    #[test]
    fn a_line_about_a_request_names_it_for_machines() -> Result<(), serde_json::Error> {
        let lines = lines(LogFormat::Json);
        let read = lines.iter().map(|line| serde_json::from_str(line));
        let read = read.collect::<Result<Vec<serde_json::Value>, _>>()?;
        assert_eq!(read.len(), 2);
        assert!(read[0]["message"] == "started" && read[0].get("request_id").is_none(), "{read:?}");
        assert!(read[1]["message"] == "answered" && read[1]["status"] == 503 && read[1]["level"] == "WARN", "{read:?}");
        assert!(read[1]["request_id"] == "till\"3" && read[1]["method"] == "GET", "{read:?}");
        assert_eq!(read[1]["path"], "/skus/TEA");
        Ok(())
    }
}
