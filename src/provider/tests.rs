//! All providers together: slots, rates, breakers, and what is refused when they are built.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::id::NotificationId;

fn folder(dir: &Path) -> config::Provider {
    config::Provider {
        kind: ProviderKind::File { dir: dir.to_owned() },
        max_concurrency: 2,
        rate_per_second: None,
        breaker_failures: 3,
        breaker_open: Duration::from_secs(30),
    }
}

fn build(provider: config::Provider, clock: &Clock, metrics: &Metrics) -> Result<Providers, Faults> {
    Providers::build(&BTreeMap::from([(id("out"), provider)]), clock.clone(), metrics.clone())
}

fn id(name: &str) -> ProviderId {
    name.parse().unwrap()
}

fn message() -> Message {
    Message { id: NotificationId([7; 16]), body: Body::Email(fixture::email()) }
}

fn clock() -> Clock {
    Clock::manual(Time::from_millis(1_795_392_000_000))
}

async fn is_pending(future: impl Future) -> bool {
    tokio::time::timeout(Duration::from_millis(20), future).await.is_err()
}

#[tokio::test]
async fn slots_bound_what_is_sent_at_once_and_a_dropped_permit_frees_one() {
    let dir = tempfile::tempdir().unwrap();
    let providers = build(folder(dir.path()), &clock(), &Metrics::new()).unwrap();
    let first = providers.permit(&id("out")).await;
    let second = providers.permit(&id("out")).await;
    assert!(is_pending(providers.permit(&id("out"))).await);
    drop(first);
    let third = providers.permit(&id("out")).await;
    assert_eq!(providers.send(third, &message()).await, Outcome::Sent { code: "file".into(), provider_ref: None });
    let fourth = providers.permit(&id("out")).await;
    assert!(is_pending(providers.permit(&id("out"))).await);
    drop((second, fourth));
}

#[tokio::test]
async fn a_rate_holds_permits_back_until_the_clock_moves() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let config = config::Provider { rate_per_second: Some(1.0), ..folder(dir.path()) };
    let providers = build(config, &clock, &Metrics::new()).unwrap();
    assert!(is_pending(providers.permit(&id("out"))).await, "the bucket starts empty");
    clock.advance(Duration::from_secs(1));
    drop(providers.permit(&id("out")).await);
    assert!(is_pending(providers.permit(&id("out"))).await);
}

#[tokio::test]
async fn a_fault_of_ours_opens_the_breaker_and_one_good_trial_closes_it() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("out");
    std::fs::write(&dir, "").unwrap();
    let (clock, metrics) = (clock(), Metrics::new());
    let providers = build(folder(&dir), &clock, &metrics).unwrap();
    let open = "sealpost_provider_open{provider=\"out\"} 1";
    let out = id("out");
    assert_eq!(providers.readiness(&out), Readiness::Ready);
    let permit = providers.permit(&out).await;
    assert!(matches!(providers.send(permit, &message()).await, Outcome::Misconfigured { .. }));
    assert_eq!(providers.readiness(&out), Readiness::OpenUntil(clock.now().plus(Duration::from_secs(30))));
    assert!(metrics.encode().contains(open), "{}", metrics.encode());

    std::fs::remove_file(&dir).unwrap();
    clock.advance(Duration::from_secs(30));
    assert_eq!(providers.readiness(&out), Readiness::Ready);
    assert!(matches!(providers.readiness(&out), Readiness::OpenUntil(_)), "one trial at a time");
    let permit = providers.permit(&out).await;
    assert!(matches!(providers.send(permit, &message()).await, Outcome::Sent { .. }));
    assert_eq!(providers.readiness(&out), Readiness::Ready);
    assert!(!metrics.encode().contains(open));
}

#[tokio::test]
async fn a_message_refused_again_while_others_go_is_at_fault_and_many_refused_again_are_not() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("out");
    let providers = build(folder(&dir), &clock(), &Metrics::new()).unwrap();
    let out = id("out");
    let send = async |again: bool| {
        let permit = providers.permit(&out).await;
        let permit = if again { permit.of_one_refused_before() } else { permit };
        providers.send(permit, &message()).await
    };
    let refuse = |refuses: bool| match refuses {
        true => std::fs::rename(&dir, root.path().join("aside")).and_then(|()| std::fs::write(&dir, "")).unwrap(),
        false => std::fs::remove_file(&dir).unwrap(),
    };
    assert!(matches!(send(false).await, Outcome::Sent { .. }));
    refuse(true);
    let Outcome::Permanent { bad_address: false, .. } = send(true).await else { panic!("it is at fault itself") };
    assert_eq!(providers.readiness(&out), Readiness::Ready, "and stops nobody");
    assert!(matches!(send(true).await, Outcome::Misconfigured { .. }), "nobody has gone in between");
    assert!(matches!(providers.readiness(&out), Readiness::OpenUntil(_)));
    refuse(false);
    assert!(matches!(send(false).await, Outcome::Sent { .. }));
    std::fs::remove_dir_all(root.path().join("aside")).unwrap();
    refuse(true);
    assert!(matches!(send(false).await, Outcome::Misconfigured { .. }), "the first time it may be us");
}

#[tokio::test]
async fn bad_addresses_do_not_open_the_breaker() {
    let dir = tempfile::tempdir().unwrap();
    let providers = build(folder(dir.path()), &clock(), &Metrics::new()).unwrap();
    for _ in 0..10 {
        let mut email = fixture::email();
        email.to = crate::personal::Personal::new("nobody");
        let permit = providers.permit(&id("out")).await;
        let outcome = providers.send(permit, &Message { body: Body::Email(email), ..message() }).await;
        assert_eq!(outcome, Outcome::Permanent { code: "invalid_address".into(), bad_address: true });
    }
    assert_eq!(providers.readiness(&id("out")), Readiness::Ready);
}

#[tokio::test]
async fn a_provider_that_is_not_there_refuses_and_waits_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let providers = build(folder(dir.path()), &clock(), &Metrics::new()).unwrap();
    assert_eq!(providers.readiness(&id("gone")), Readiness::Ready);
    let permit = providers.permit(&id("gone")).await;
    assert_eq!(providers.send(permit, &message()).await, Outcome::Misconfigured { code: "provider_unknown".into() });
    providers.close().await;
}

#[test]
fn faults_of_all_providers_come_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let configs = BTreeMap::from([
        (id("a"), config::Provider { rate_per_second: Some(f64::NAN), ..folder(dir.path()) }),
        (id("b"), config::Provider { max_concurrency: 0, rate_per_second: Some(0.0), ..folder(dir.path()) }),
    ]);
    let faults = Providers::build(&configs, clock(), Metrics::new()).err().unwrap();
    insta::assert_snapshot!(faults, @r"
    configuration: provider.a.rate_per_second: must be a number above 0
        hint: leave it out for no limit
    configuration: provider.b.rate_per_second: must be a number above 0
        hint: leave it out for no limit
    configuration: provider.b.max_concurrency: must be at least 1
        hint: set it to 8
    ");
}
