//! Tests of explanations and rehearsals of stored events, which a real planner planned.

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::ledger::Delivery;
use crate::plan::Planner;

use super::*;

impl Office {
    /// Delivers bodies and lets the planner plan them.
    pub(crate) async fn deliver(&self, bodies: &[Value]) {
        let House { ledger, vault, rules, templates, keys, config, clock, metrics, .. } = self.house.clone();
        for body in bodies {
            let body = Bytes::from(body.to_string());
            let source = "capillary".parse().expect("a source");
            ledger.append(Delivery { source, received_at: clock.now(), body }).await.expect("appended");
        }
        let stop = CancellationToken::new();
        let planner = Planner { ledger: ledger.clone(), vault, rules, templates, keys, config, clock, metrics };
        let head = *ledger.journal_head().borrow();
        let planned = async {
            while ledger.cursor() < head {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        let (ended, ()) = tokio::join!(planner.run(stop.clone()), planned);
        ended.expect("planned");
        // What looks back looks at what came before the present moment.
        self.house.clock.advance(Duration::from_secs(1));
    }
}

/// Points of one customer, as Capillary tells of them.
pub(crate) fn points(n: u32, total: f64) -> Value {
    json!({
        "eventName": "pointsIssued", "eventId": format!("e-{n}"), "orgId": 41_007,
        "createdAt": NOW.as_millis() - i64::from(n),
        "data": {
            "customerIdentifiers": { "customerId": 438_000_000 + n },
            "totalPointsIssued": total, "programCurrentPoints": 12.0
        }
    })
}

#[tokio::test]
async fn a_stored_event_is_explained_by_the_rules_of_this_moment() {
    let office = Office::open();
    office.deliver(&[points(1, 0.0), points(2, 8.0)]).await;
    let events = office.get("/v1/events").await;
    for event in events.as_array().expect("a list") {
        let key = event["key"].as_str().expect("a key");
        let explained = office.get(&format!("/v1/events/{key}/explain")).await;
        let rule = &explained["rules"][0];
        assert_eq!(rule["rule"], "points-issued/0");
        let planned = office.get(&format!("/v1/events/{key}")).await["notifications"].as_array().map(Vec::len);
        let (fires, why, count) = match event["event_id"].as_str() {
            Some("e-1") => (false, "condition is false: `event.data.totalPointsIssued > 0` does not hold", 0),
            _ => (true, "fires for 1", 2),
        };
        assert_eq!((rule["fires"].as_bool(), rule["why"].as_str()), (Some(fires), Some(why)));
        assert_eq!(planned, Some(count), "and that is what was planned");
        assert!(!explained.to_string().contains("438"), "{explained}");
    }
    let (status, _) =
        office.refused(Method::GET, "/v1/events/00000000000000000000000000000000/explain", json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
