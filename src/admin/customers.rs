//! People as a resource: what a CRM calls when somebody registers, changes or leaves.
//!
//! Promises: every call may be repeated; a change is synced before it is answered; a bulk call answers each line by its
//! number; what was erased comes back only by a newer `updated_at`.
//! Never: a phone or a mail address in a path (paths end up in logs); a log line with a path; a value in a fault.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Buf;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::id::Namespace;
use crate::personal::Personal;
use crate::vault::import::{Fault, HeaderMap, Import, ImportKind, Row, RowFault};
use crate::vault::json::ContactJson;
use crate::vault::{NamedAlias, PutRow};

use super::audit::{Action, Entry};
use super::caller::Caller;
use super::find::parse_alias;
use super::people::{Changed, Deleted, How, Who};
use super::read::Raw;
use super::{AdminError, Answer, Desk};

/// Most lines of one bulk call.
const MOST_LINES: usize = 10_000;
/// Lines put between two syncs: a call that breaks off owes the waking of so many at most.
const AT_ONCE: usize = 500;

/// What may stand after the `?`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    #[serde(default)]
    namespace: Option<Namespace>,
    #[serde(default)]
    mode: How,
    /// Who asks, for the audit log.
    #[serde(default)]
    by: String,
}

type Named = Result<Path<String>, PathRejection>;
type Asked = Result<Query<Options>, QueryRejection>;

type House = State<Arc<Desk>>;

pub(super) async fn put(desk: House, caller: Caller, named: Named, asked: Asked, Raw(body): Raw) -> Answer<Changed> {
    write(desk, &caller, named, asked, &body, How::Replace).await
}

pub(super) async fn patch(desk: House, caller: Caller, named: Named, asked: Asked, Raw(body): Raw) -> Answer<Changed> {
    write(desk, &caller, named, asked, &body, How::Patch).await
}

pub(super) async fn get(State(desk): House, caller: Caller, named: Named, asked: Asked) -> Answer<Value> {
    desk.show(&caller, who(named, asked)?).await.map(Json)
}

pub(super) async fn delete(State(desk): House, caller: Caller, named: Named, asked: Asked) -> Answer<Deleted> {
    desk.remove(&caller, who(named, asked)?).await.map(Json)
}

fn who(named: Named, asked: Asked) -> Result<Who, AdminError> {
    let options = options(asked)?;
    Ok(Who { namespace: options.namespace, customer: text_of(named)?, by: options.by })
}

async fn write(
    State(desk): House,
    caller: &Caller,
    named: Named,
    asked: Asked,
    body: &[u8],
    how: How,
) -> Answer<Changed> {
    let options = options(asked)?;
    let namespace = desk.namespace(options.namespace)?;
    let text = text_of(named)?;
    let (kind, value) = parse_alias(&text)?;
    let json = ContactJson::parse(body)?;
    let dated = json.is_dated();
    let (contact, mut aliases) = json.into_parts(desk.house.clock.now())?;
    // First: the one in the path says who it is.
    aliases.insert(0, NamedAlias { kind, value: Personal::new(value) });
    let hashes: Vec<_> = aliases.iter().map(|named| desk.house.vault.alias(&namespace, named).hash).collect();
    let entry = Entry::new(Action::ContactPut, caller, &options.by)
        .about("namespace", &namespace)
        .about("how", how.as_str())
        .about_ids(&hashes);
    let writing = async {
        let learned = desk.put_parts(&namespace, &aliases, contact, dated, how)?;
        if learned.erased {
            let remedy = "this person was erased; a registration after that gives its time as `updated_at`";
            return Err(AdminError::Conflict(remedy.into()));
        }
        Ok((desk.settle(learned, Changed::of_rows(1)).await?, 1))
    };
    desk.audited(entry, writing).await.map(Json)
}

/// What became of one line.
#[derive(Serialize)]
struct LineResult {
    line: u64,
    result: LineEnd,
    /// Identifiers that belonged to somebody else.
    #[serde(skip_serializing_if = "is_zero")]
    conflicts: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[derive(PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum LineEnd {
    Stored,
    /// Left out: the person was erased at that time or later.
    Erased,
    Refused,
}

pub(super) async fn bulk(
    State(desk): House,
    caller: Caller,
    asked: Asked,
    Raw(body): Raw,
) -> Result<Response, AdminError> {
    let options = options(asked)?;
    let namespace = desk.namespace(options.namespace)?;
    if body.iter().filter(|byte| **byte == b'\n').count() >= MOST_LINES {
        return Err(AdminError::Invalid(format!("at most {MOST_LINES} lines fit into one call; send several")));
    }
    // What else an import reads (CSV, gzip) is for files; here it would be a mistake, or a bomb.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(AdminError::Invalid("body is not lines of JSON: one object on each line, not compressed".into()));
    }
    let kind = if options.mode == How::Aliases { ImportKind::Aliases } else { ImportKind::Contacts };
    let rows = Import::open(body.reader(), kind, HeaderMap::default(), desk.house.clock.now())
        .map_err(|fault| AdminError::Invalid(fault.to_string()))?;
    let entry = Entry::new(Action::ContactsImported, &caller, &options.by)
        .about("namespace", &namespace)
        .about("how", options.mode.as_str());
    let putting = async {
        let (mut answer, mut lines) = (String::new(), 0);
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            let some: Vec<_> = rows.by_ref().take(AT_ONCE).collect();
            lines += some.len();
            desk.put_lines(&namespace, some, options.mode, &mut answer).await?;
        }
        Ok((answer, lines))
    };
    let answer = desk.audited(entry, putting).await?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], answer).into_response())
}

fn at_time(at: crate::clock::Time) -> crate::vault::Contact {
    crate::vault::Contact { updated_at: at, ..Default::default() }
}

/// The alias in the path. A unique kind only: a number in a path would end up in somebody's log.
fn text_of(named: Named) -> Result<String, AdminError> {
    // The rejection's own text might quote the path.
    let Ok(Path(text)) = named else {
        return Err(AdminError::Invalid("the customer in the path is not percent-encoded UTF-8".into()));
    };
    let (kind, _) = parse_alias(&text)?;
    if !kind.is_unique() {
        let fault = "a phone number or mail address does not belong into a path, and may be several people's; \
                     POST it to /v1/vault/find";
        return Err(AdminError::Invalid(fault.into()));
    }
    Ok(text)
}

fn options(asked: Asked) -> Result<Options, AdminError> {
    let fault = "the query knows `namespace`, `by` and, for bulk, `mode` (patch, replace, aliases)";
    asked.map(|Query(options)| options).map_err(|_| AdminError::Invalid(fault.into()))
}

impl Desk {
    /// Puts some lines and tells, in their order, what became of them.
    async fn put_lines(
        &self,
        namespace: &Namespace,
        some: Vec<Result<Row, RowFault>>,
        how: How,
        answer: &mut String,
    ) -> Result<(), AdminError> {
        let mut put = Vec::with_capacity(some.len());
        let mut ends: Vec<LineResult> = Vec::with_capacity(some.len());
        for row in some {
            match row {
                Err(refused) => ends.push(LineResult::refused(refused.line, refused.fault)),
                Ok(row) => {
                    ends.push(LineResult::of(row.line, LineEnd::Stored));
                    let contact = row.contact.unwrap_or_else(|| at_time(row.at));
                    put.push(PutRow { aliases: row.aliases, contact, dated: row.dated });
                }
            }
        }
        let done = self.house.vault.put_many(namespace, &put, how.into())?;
        let taken = ends.iter_mut().filter(|end| end.result == LineEnd::Stored);
        for (end, row) in taken.zip(&done.rows) {
            match row {
                Ok(learned) if learned.erased => end.result = LineEnd::Erased,
                Ok(learned) => {
                    end.conflicts = learned.conflicts;
                    self.note_conflicts(learned.conflicts);
                }
                Err(fault) => *end = LineResult::refused(end.line, fault.into()),
            }
        }
        for end in &ends {
            answer.push_str(&json!(end).to_string());
            answer.push('\n');
        }
        self.wake(done.woken, done.dirty, Changed::default()).await.map(drop)
    }
}

impl LineResult {
    fn of(line: u64, result: LineEnd) -> Self {
        Self { line, result, conflicts: 0, field: None, fault: None }
    }

    fn refused(line: u64, fault: Fault) -> Self {
        Self { field: fault.field, fault: Some(fault.what), ..Self::of(line, LineEnd::Refused) }
    }
}
