//! `vault import`: files of people into the vault.
//!
//! Promises: goes on past bad rows and reports each by line and field; memory does not grow with the file; a batch
//! counts as done once the relay has it durably, and an import that was killed goes on from there.
//! Never: a value of the file on the terminal, in the fault file or in the state.

#![expect(clippy::doc_markdown, reason = "help texts are read on a terminal")]

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use axum::http::Method;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::clock::{Clock, Time};
use crate::vault::import::{Fault, HeaderMap, Import, ImportKind, RowFault};

use super::super::client::Client;
use super::super::said::Said;
use super::checkpoint::{Checkpoint, Tally, beside, fingerprint};
use super::reader::{Batch, read_ahead};
use super::report::Report;
use super::{open, print, refuse_same};

/// Options of `vault import`.
#[derive(Args)]
pub(crate) struct ImportArgs {
    /// The file, with the fields customer_id, external_id, card, card_external_id, first_name, last_name, email,
    /// mobile, locale, time_zone, updated_at, attr.NAME
    file: PathBuf,
    /// Whose people [default: the only namespace]
    #[arg(long)]
    namespace: Option<String>,
    /// What becomes of stored fields that a row does not give
    #[arg(long, value_enum, default_value_t = Mode::Patch)]
    mode: Mode,
    /// The file has identifiers only: customer_id,external_id
    #[arg(long, conflicts_with = "mode")]
    aliases_only: bool,
    /// What a header means: "Mobile No=mobile", "Tier=attr.tier", "Remarks=-" for a column that is not wanted
    #[arg(long, value_name = "HEADER=FIELD")]
    map: Vec<String>,
    /// Read and check the whole file, store nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write every fault to this file, as lines of JSON with line, field and fault, without values
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Go on with an import of this file that was stopped
    #[arg(long, conflicts_with = "dry_run")]
    resume: bool,
    /// Where to note how far the import is [default: beside the file, .import-state added to its name]
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    state: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Mode {
    /// They stay
    Patch,
    /// They are removed
    Replace,
}

impl ImportArgs {
    fn kind(&self) -> ImportKind {
        if self.aliases_only { ImportKind::Aliases } else { ImportKind::Contacts }
    }

    fn is_stream(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    /// Refuses reports and states that would replace the file itself, or one another.
    fn check_outputs(&self) -> anyhow::Result<()> {
        refuse_same(&self.file, "--faults", self.faults.as_deref())?;
        refuse_same(&self.file, "--state", self.state_path().as_deref())?;
        self.state_path().map_or(Ok(()), |state| refuse_same(&state, "--faults", self.faults.as_deref()))
    }

    fn state_path(&self) -> Option<PathBuf> {
        (!self.is_stream()).then(|| self.state.clone().unwrap_or_else(|| beside(&self.file, ".import-state")))
    }

    /// Everything that makes another import of the same file.
    fn options(&self) -> String {
        format!("{:?} {:?} {} {:?}", self.namespace, self.mode, self.aliases_only, self.map)
    }

    fn rows(&self, bar: &ProgressBar, now: Time) -> anyhow::Result<Import> {
        let map = HeaderMap::parse(&self.map)?;
        let reader = bar.wrap_read(open(&self.file)?);
        Import::open(reader, self.kind(), map, now).with_context(|| self.file.display().to_string())
    }
}

/// `vault import --dry-run`: the same report, and nothing is stored or asked.
pub(crate) async fn check(args: &ImportArgs) -> anyhow::Result<Said> {
    args.check_outputs()?;
    let bar = progress(&args.file);
    let mut run = Run::new(Report::open(bar.clone(), args.faults.as_deref(), None)?, bar, Tally::default());
    let (mut batches, reader) = read_ahead(args.rows(&run.bar, Clock::system().now())?, 0);
    while let Some(batch) = batches.recv().await {
        run.note(&batch)?;
        run.tally.rows += batch.lines.len() as u64;
        run.show();
    }
    reader.await.context("the reader of the file failed")?;
    let Tally { rows, refused, repeats, .. } = run.tally.clone();
    let said =
        format!("{rows} rows could be stored ({repeats} repeat an identifier), {refused} refused; nothing was stored");
    run.finish(&said, "correct them before the import")
}

/// `vault import`
pub(crate) async fn import(client: &Client, args: &ImportArgs, by: &str) -> anyhow::Result<Said> {
    if args.is_stream() && (args.resume || args.state.is_some()) {
        bail!("standard input cannot be read again: --resume and --state need a file");
    }
    args.check_outputs()?;
    let mut state = State::open(args)?;
    let bar = progress(&args.file);
    let report = Report::open(bar.clone(), args.faults.as_deref(), args.resume.then_some(state.at.faults))?;
    let mut run = Run::new(report, bar, state.at.tally.clone());
    let rows = args.rows(&run.bar, Time::from_millis(state.at.started_at))?;
    let how = match (args.aliases_only || rows.has_identifiers_only(), args.mode) {
        (true, _) => "aliases",
        (false, Mode::Replace) => "replace",
        (false, Mode::Patch) => "patch",
    };
    let head = serde_json::json!({
        "namespace": args.namespace, "how": how, "as_of": Time::from_millis(state.at.started_at).to_string(), "by": by,
    });
    let (mut batches, reader) = read_ahead(rows, state.at.records);
    while let Some(batch) = batches.recv().await {
        run.note(&batch)?;
        run.send(client, &head, &batch).await.with_context(|| state.remedy(&run.tally))?;
        // First: what the state says was reported must be, whatever happens to us.
        state.at.faults = run.report.keep()?;
        state.done(&run.bar, batch.records, &run.tally);
        run.show();
    }
    reader.await.context("the reader of the file failed")?;
    state.forget();
    let Tally { rows, refused, linked, conflicts, woken, erased, repeats } = run.tally.clone();
    let said = format!(
        "{rows} rows stored ({repeats} repeat an identifier), {refused} refused; {linked} aliases linked, {conflicts} \
         belonged to somebody else, {woken} waiting notifications woken; {erased} left out because the person was \
         erased"
    );
    run.finish(&said, "correct them and import the file again: rows that are stored already change nothing")
}

/// Where the state is kept, and what it is.
struct State {
    path: Option<PathBuf>,
    at: Checkpoint,
}

impl State {
    fn open(args: &ImportArgs) -> anyhow::Result<Self> {
        let now = Clock::system().now().as_millis();
        let Some(path) = args.state_path() else {
            return Ok(Self { path: None, at: Checkpoint::new(String::new(), now) });
        };
        let print = fingerprint(&args.file, &args.options())?;
        let at = if args.resume {
            Checkpoint::load(&path, &print)?
        } else {
            Checkpoint::refuse_other(&path)?;
            Checkpoint::new(print, now)
        };
        Ok(Self { path: Some(path), at })
    }

    /// Notes a durable batch. A directory that cannot be written costs the resumption, not the import.
    fn done(&mut self, bar: &ProgressBar, records: u64, tally: &Tally) {
        self.at.records = records;
        self.at.tally = tally.clone();
        let Some(path) = &self.path else { return };
        if let Err(error) = self.at.store(path) {
            bar.suspend(|| print::err(&format!("note: {error:#}; this import cannot be resumed (see --state)")));
            self.path = None;
        }
    }

    fn remedy(&self, tally: &Tally) -> String {
        if self.at.records == 0 {
            return "the import stopped before anything was stored".into();
        }
        let how = if self.path.is_some() { "go on with --resume" } else { "import it again: nothing is stored twice" };
        format!("the import stopped after {} rows were stored; {how}", tally.rows)
    }

    fn forget(&self) {
        if let Some(path) = &self.path {
            // A state that stays is replaced by the next import.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// An import on its way.
struct Run {
    bar: ProgressBar,
    report: Report,
    tally: Tally,
    resumed_rows: u64,
    looked_for_repeats: bool,
}

impl Run {
    fn new(report: Report, bar: ProgressBar, tally: Tally) -> Self {
        let resumed_rows = tally.rows + tally.refused;
        Self { bar, report, tally, resumed_rows, looked_for_repeats: true }
    }

    /// Reports what the file itself got wrong.
    fn note(&mut self, batch: &Batch) -> anyhow::Result<()> {
        for fault in &batch.faults {
            self.tally.refused += 1;
            self.report.refused(fault)?;
        }
        for (line, fault) in &batch.repeats {
            self.tally.repeats += 1;
            self.report.noticed(*line, fault)?;
        }
        if std::mem::replace(&mut self.looked_for_repeats, batch.looked_for_repeats) && !batch.looked_for_repeats {
            let records = batch.records;
            self.bar.suspend(|| {
                print::err(&format!("note: beyond about row {records} repeated identifiers are not looked for"));
            });
        }
        Ok(())
    }

    async fn send(&mut self, client: &Client, head: &Value, batch: &Batch) -> anyhow::Result<()> {
        if batch.lines.is_empty() {
            return Ok(());
        }
        let head = head.to_string();
        let open = head.strip_suffix('}').unwrap_or(&head);
        let body = [open.as_bytes(), b",\"rows\":[", &batch.rows, b"]}"].concat();
        let done = client.ask_bytes(Method::POST, "/v1/vault/import", body).await?;
        let count = |name: &str| done[name].as_u64().unwrap_or(0);
        let faults = done["faults"].as_array().map_or(&[][..], Vec::as_slice);
        self.tally.rows += count("rows") - faults.len() as u64;
        self.tally.linked += count("linked");
        self.tally.conflicts += count("conflicts");
        self.tally.woken += count("woken");
        self.tally.erased += count("erased");
        let line_of = |row: &Value| {
            let row = row.as_u64().and_then(|row| usize::try_from(row).ok());
            row.and_then(|row| batch.lines.get(row)).copied().unwrap_or(0)
        };
        for row in done["contested"].as_array().into_iter().flatten() {
            let what = "has an identifier that belonged to somebody else; the newer fact has it, the older one of the same time";
            self.report.noticed(line_of(row), &Fault::row(what))?;
        }
        for fault in faults {
            let line = line_of(&fault["row"]);
            let field = fault["field"].as_str().map(str::to_owned);
            let what = fault["fault"].as_str().unwrap_or("was refused").to_owned();
            self.tally.refused += 1;
            self.report.refused(&RowFault { line, fault: Fault { field, what } })?;
        }
        Ok(())
    }

    fn show(&self) {
        let rows = self.tally.rows + self.tally.refused;
        let seconds = self.bar.elapsed().as_secs_f64().max(0.001);
        let rate = (rows - self.resumed_rows) as f64 / seconds;
        self.bar.set_message(format!("{rows} rows, {rate:.0}/s"));
    }

    fn finish(self, said: &str, remedy: &str) -> anyhow::Result<Said> {
        self.bar.finish_and_clear();
        self.report.close()?;
        let refused = self.tally.refused;
        let failed = (refused > 0).then(|| anyhow!("{refused} rows were refused; {remedy}"));
        Ok(Said { json: serde_json::to_value(&self.tally)?, text: said.to_owned(), failed })
    }
}

/// A bar with bytes, rows, rate and time left; of a stream the end is not known.
pub(super) fn progress(file: &Path) -> ProgressBar {
    let size = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len());
    let bar = size.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = match size {
        Some(_) => "{wide_bar} {bytes}/{total_bytes}  {msg}  {eta} left",
        None => "{spinner} {bytes} {elapsed}  {msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
