//! `POST /lots/import` over HTTP: the file is read while it arrives, then received whether or not its sender stays.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::header;
use http_body_util::BodyExt as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::apply::apply;
use super::check::{Checked, Gate};
use super::read::Reader;
use super::view::ImportView;
use super::{Mode, OnError, Options};
use crate::app::{App, AppState};
use crate::http::auth::{Caller, scope};
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::ids::ClientId;
use crate::lifecycle::detached;
use crate::lots::receive::ReceiveLot;

/// Routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(import_lots))
}

/// Receives a file of lots. Each row is a lot with the members of `POST /lots`, named by its `source_ref`, so that a file
/// can be sent again: what was received before is counted as repeated, and no Idempotency-Key is needed.
#[utoipa::path(post, path = "/lots/import", tag = "lots",
    params(("pool" = Option<String>, Query, description = "Pool code; default if left out"),
        ("mode" = Option<Mode>, Query, description = "validate: only look; apply (if left out): receive"),
        ("on_error" = Option<OnError>, Query,
            description = "reject_all (if left out): nothing of the file is received if a row is bad; skip_bad_rows"),
        ("create_skus" = Option<bool>, Query, description = "Register SKUs that the catalogue does not have")),
    request_body(content((String = "text/csv"), (ReceiveLot = "application/x-ndjson"))),
    responses((status = 200, description = "What became of the file", body = ImportView)))]
async fn import_lots(
    app: AppState,
    caller: Caller<scope::Lots>,
    mut query: Query,
    request: Request,
) -> Result<axum::Json<ImportView>, Problem> {
    let code = query.one("pool").unwrap_or_else(|| "default".to_owned());
    let mode = Mode::take(&mut query);
    let on_error = OnError::take(&mut query);
    let create_skus = query.read("create_skus", "true or false", |text| text.parse().ok()).unwrap_or(false);
    query.finish()?;
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let reader = Reader::of(content_type.unwrap_or_default())?;
    let Ok(place) = Arc::clone(&app.imports).try_acquire_owned() else {
        return Err(Problem::new(Code::Busy, "As many files as this instance takes at once are on their way."));
    };
    let pool = app.find_pool(&code).await?;
    let pool = pool.ok_or_else(|| Problem::new(Code::UnknownPool, format!("There is no pool {code:?}.")))?;
    let file =
        receive_file(&app, Options { pool, mode, on_error, create_skus, now: app.clock.local_now() }, reader, request)
            .await?;
    let (app, client) = (Arc::clone(&app), caller.client);
    let tasks = app.tasks.clone();
    let account = detached(&tasks, async move {
        let account = take_in(&app, client, file).await;
        drop(place);
        account
    });
    Ok(axum::Json(account.await?))
}

/// Reads the file to its end.
async fn receive_file(app: &App, options: Options, mut reader: Reader, request: Request) -> Result<Checked, Problem> {
    let limit = app.settings.import_body_limit;
    let mut gate = Gate::new(options, app.fresh_catalogue().await?)?;
    let mut body = request.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| Problem::new(Code::MalformedJson, "The file ended early; nothing was received."))?;
        let Some(piece) = frame.data_ref() else { continue };
        length += piece.len();
        if length > limit {
            let detail = format!("A file may have {limit} bytes; nothing was received. Send it in parts.");
            return Err(Problem::new(Code::BodyTooLarge, detail));
        }
        reader.feed(piece, &mut gate)?;
    }
    reader.finish(&mut gate)?;
    gate.finish()
}

/// Receives what was good of it; to be run to its end.
async fn take_in(app: &App, client: ClientId, mut file: Checked) -> Result<ImportView, Problem> {
    let begun = Instant::now();
    let refused =
        file.options.mode == Mode::Apply && file.options.on_error == OnError::RejectAll && file.findings.rejected > 0;
    let tally = if refused { super::apply::Tally::default() } else { apply(app, client, &mut file).await? };
    metrics::histogram!("holdfast_import_seconds").record(begun.elapsed().as_secs_f64());
    let account = ImportView::of(file, tally);
    account.measure();
    account.refused()
}
