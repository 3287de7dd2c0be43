//! One installation and its many lives: a start, load, and an end that nobody was told of.
//!
//! Promises: catchers and book outlive the relay; a life that was to end at a point ended there and nowhere else.
//! Never: a look at what the relay says of itself, but for its log.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sealpost::failpoint::{self, Point};
use sealpost::sink::Keep;
use sealpost::sink::sms::{SmsAct, SmsScript, SmsSink};
use sealpost::sink::smtp::{Act, Phase, SmtpScript};
use tokio::sync::watch;

use super::book::{self, Book, Kind};
use super::senders::Senders;
use super::{End, ROUND, TEMPLATE, plan, say, templates};
use crate::doors::{self, Door};
use crate::process::Installation;
use crate::support::{PATIENCE, Setup};

/// One installation, and many lives.
pub struct Campaign {
    pub relay: Installation,
    pub receiver: SmsSink,
    pub door: Door,
    pub book: Arc<Book>,
    pub chance: fastrand::Rng,
    /// Final dots that the mail server has seen.
    dots: watch::Receiver<u64>,
    /// From each start until events were taken; `ready_or_ended` bounds it.
    reopened: Vec<Duration>,
}

/// So many kills, and then the proof.
pub async fn campaign(seed: u64, kills: usize) -> Result<()> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let ends = plan(kills, &mut chance);
    let (dots_seen, dots) = watch::channel(0);
    // Servers that take their time, so that many kills meet a message that waits for its answer.
    let smtp = SmtpScript::new().keep(Keep::Newest(usize::MAX)).behave(move |moment| match moment.phase {
        Phase::Rcpt if lives_nowhere(&moment.recipients[0]) => Act::Reply(550, "5.1.1 no such mailbox".into()),
        Phase::Dot => {
            dots_seen.send_modify(|seen| *seen += 1);
            Act::After(Duration::from_millis(5), Box::new(Act::Usual))
        }
        _ => Act::Usual,
    });
    let late = SmsAct::After(Duration::from_millis(5), Box::new(SmsAct::answer(200, "{}")));
    let sms = SmsScript::new().keep(Keep::Newest(usize::MAX)).always(late);
    let receiver = SmsSink::start(SmsScript::new().keep(Keep::Newest(usize::MAX))).await?;
    let elsewhere = tempfile::tempdir()?;
    let toml = format!(
        "{}[feed]\ndir = {:?}\n[feed.webhook]\nurl = \"{}/hook\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n",
        doors::toml(elsewhere.path()),
        elsewhere.path().join("feed").display().to_string(),
        receiver.url()
    );
    let (templates, allow) = (Some(templates(elsewhere.path())), vec![TEMPLATE]);
    let setup = Setup { templates, allow, smtp, sms, retry: Some((kills + 9, "100ms")), toml, ..Setup::default() };
    let relay = Installation::new(setup).await;
    let door = Door::new(relay.intake);
    let book = Arc::default();
    let mut campaign = Campaign { relay, receiver, door, book, chance, dots, reopened: Vec::new() };
    campaign.import("people.csv", false, ends.len())?;
    let began = Instant::now();
    for (round, end) in ends.iter().enumerate() {
        campaign.life(*end).await.with_context(|| format!("round {round}, {end:?}"))?;
    }
    say(&format!("rounds took {:?}", began.elapsed()));
    campaign.relay.start().await;
    let sum = campaign.in_peace(ends.len()).await?;
    say(&format!("agreed after {:?}", began.elapsed()));
    let ended = campaign.relay.terminate().await;
    ensure!(ended.code() == Some(0), "SIGTERM does not end the daemon in order: {ended}");
    ensure!(sum.ambiguous > 0, "no kill met a message on its way: this proves nothing");
    say(&format!(
        "{} kills, {} events, {} deliveries acknowledged; {} attempts were ambiguous, {} messages came twice, {} texts are held",
        ends.len(),
        campaign.book.entries().len(),
        campaign.book.acknowledgements(),
        sum.ambiguous,
        sum.twice,
        sum.held,
    ));
    let reopened = &campaign.reopened;
    let (early, late) = reopened.split_at(reopened.len() / 2);
    let (early, late) = (median(early), median(late));
    say(&format!("reopened within {early:?} as a rule in the first half of the lives, {late:?} in the second"));
    Ok(())
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn lives_nowhere(mailbox: &str) -> bool {
    let n = mailbox.strip_prefix("person").and_then(|rest| rest.split('@').next()?.parse().ok());
    n.is_some_and(|n| Kind::of(n) == Kind::NoMailbox)
}

impl Campaign {
    pub fn import(&self, name: &str, strangers: bool, kills: usize) -> Result<()> {
        let count = u32::try_from((kills + 9) * ROUND)?;
        std::fs::write(self.relay.dir.path().join(name), book::people(count, strangers))?;
        // It waits for the relay, whose catchers live in this runtime.
        tokio::task::block_in_place(|| self.relay.must(&["vault", "import", name]));
        Ok(())
    }

    /// A start, load, and an end.
    async fn life(&mut self, end: End) -> Result<()> {
        let logged = std::fs::metadata(self.relay.log()).map_or(0, |log| log.len());
        let point = if let End::At(point, nth) = end { format!("{}:{nth}", point.name()) } else { String::new() };
        let armed = [(failpoint::VARIABLE, point.as_str())];
        let started = Instant::now();
        self.relay.launch(if point.is_empty() { &[] } else { &armed });
        let mut status = self.relay.ready_or_ended().await;
        if status.is_none() {
            self.reopened.push(started.elapsed());
            let dots = *self.dots.borrow();
            let mut senders = Senders::start(&self.door, &self.book, ROUND, &mut self.chance);
            let moment = async {
                match end {
                    End::At(..) => return Some(self.relay.ended().await),
                    End::After(wanted) => senders.acknowledged(wanted).await,
                    End::BeforeAnswer(wanted) => {
                        senders.acknowledged(wanted).await;
                        self.dots.wait_for(|seen| *seen > dots).await.expect("the mail server outlives the relay");
                    }
                }
                self.relay.kill();
                None
            };
            status = tokio::time::timeout(2 * PATIENCE, moment).await.context("its moment never came")?;
            senders.ended().await;
        }
        match end {
            End::At(point, _) => self.reached(point, status, logged),
            End::After(_) | End::BeforeAnswer(_) => {
                ensure!(status.is_none(), "it ended by itself, before its moment: {status:?}");
                Ok(())
            }
        }
    }

    /// Nobody else kills it, and it says why it does.
    fn reached(&self, point: Point, status: Option<ExitStatus>, logged: u64) -> Result<()> {
        let status = status.context("an end")?;
        let log = std::fs::read(self.relay.log())?;
        let log = String::from_utf8_lossy(&log[usize::try_from(logged)?..]).into_owned();
        let says = log.contains(&format!("\"failpoint\":\"{}\"", point.name()));
        ensure!(status.signal() == Some(9) && says, "it ended with {status}, and not at its point: {log}");
        Ok(())
    }
}
