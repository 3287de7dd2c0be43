//! Providers that do not take messages: nothing is rendered for them.

use crate::provider::InLine;
use crate::tasks::stumble;

use super::*;

/// A gateway that nobody listens at: its breaker opens with the first try.
const DOWN: &str = r#"
[provider.down]
type = "smtp"
host = "127.0.0.1"
port = 1
tls = "none"
breaker_failures = 1
breaker_open = "30s"
"#;

#[tokio::test]
async fn while_a_provider_is_down_nothing_is_rendered_for_it() {
    let test = TestHouse::open_with_mail("down", DOWN);
    test.put(1).await;
    test.deliver(&customer_added("first", 1, START)).await;
    test.plan().await;
    let mail = |event: &str| {
        let found = test.notifications_of(event).unwrap();
        found.into_iter().find(|n| n.channels == [Channel::Email]).unwrap().state
    };
    let providers = test.providers();
    test.dispatch_with(&providers, || mail("first").reason() == Some("retry")).await;
    assert_eq!(
        providers.glance(&"down".parse().unwrap(), Duration::from_secs(1), InLine::default()),
        Readiness::OpenUntil(START.plus(Duration::from_secs(30)))
    );

    // Armed, the next rendering would panic and leave a dead letter.
    test.house.control.pause(crate::policy::pause::Scope::Channel(Channel::Sms), "asha", None).await.unwrap();
    stumble::arm("render");
    test.deliver(&customer_added("second", 1, START)).await;
    test.plan().await;
    test.dispatch_with(&providers, || mail("second").reason() != Some("due_later")).await;
    assert_eq!(mail("second").reason(), Some("provider_down"));

    // Its time is over: the look lets it through, and the one trial is still there to be taken.
    test.house.clock.advance(Duration::from_secs(41));
    test.dispatch_with(&providers, || {
        mail("second").reason() == Some("stumbled") || mail("first").reason() == Some("stumbled")
    })
    .await;
}

#[tokio::test]
async fn a_rate_limit_with_a_queue_longer_than_patience_is_seen_before_a_message_is_made() {
    let test = TestHouse::open_with_mail(
        "slow",
        "[provider.slow]\ntype = \"file\"\ndir = \"/nowhere\"\nrate_per_second = 2\n",
    );
    let (providers, slow) = (test.providers(), "slow".parse().unwrap());
    let look = || providers.glance(&slow, Duration::from_secs(1), InLine::default());
    let mut queue = Vec::new();
    for expected in [Readiness::Ready, Readiness::Ready, Readiness::Busy] {
        assert_eq!(look(), expected, "{} wait", queue.len());
        let mut waiting = Box::pin(providers.permit(&slow));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending(), "a bucket starts empty");
        queue.push(waiting);
    }
    test.put(1).await;
    test.deliver(&customer_added("late", 1, START)).await;
    test.plan().await;
    stumble::arm("render");
    test.house.control.pause(crate::policy::pause::Scope::Channel(Channel::Sms), "asha", None).await.unwrap();
    let mail = || {
        let found = test.notifications_of("late").unwrap();
        found.into_iter().find(|n| n.channels == [Channel::Email]).unwrap().state
    };
    test.dispatch_with(&providers, || mail().reason() != Some("due_later")).await;
    assert_eq!(mail().reason(), Some("rate_limited"), "who gave up waiting would render again each time");
    queue.clear();
    assert_eq!(look(), Readiness::Ready);
}
