//! Missing values, defaults, and what helpers make of values.

use serde_json::{Value, json};

use super::kit::*;
use super::*;

fn missing(field: &str) -> Result<String, RenderError> {
    Err(RenderError::Missing { field: field.into() })
}

#[test]
fn a_missing_null_or_blank_value_stops_the_message_and_is_named() {
    for data in [json!({}), json!({"x": null}), json!({"x": "  "}), json!({"y": 1})] {
        assert_eq!(say("A {{event.data.x}}", data.clone()), missing("event.data.x"), "{data}");
        assert_eq!(say("A {{number event.data.x}}", data.clone()), missing("event.data.x"), "{data}");
        assert_eq!(say("A {{upper (money event.data.x)}}", data.clone()), missing("event.data.x"), "{data}");
        assert_eq!(say("A {{#each event.data.x}}y{{/each}}", data.clone()), missing("event.data.x"), "{data}");
        assert_eq!(say("A {{#with event.data.x}}y{{/with}}", data.clone()), missing("event.data.x"), "{data}");
        assert_eq!(say("A {{default event.data.x \"there\"}}", data.clone()), Ok("A there".into()), "{data}");
        assert_eq!(
            say("A {{default (date event.data.x) event.data.z \"soon\"}}", data.clone()),
            Ok("A soon".into()),
            "{data}"
        );
        assert_eq!(say("A{{#if event.data.x}} B{{else}} C{{/if}}", data.clone()), Ok("A C".into()), "{data}");
    }
    assert_eq!(say("{{event.data.a.b.c}}", json!({"a": 1})), missing("event.data.a.b.c"));
}

#[test]
fn a_list_or_object_is_never_printed() {
    for data in [json!({"x": [1]}), json!({"x": {"a": 1}})] {
        let error = say("{{event.data.x}}", data).unwrap_err();
        assert!(error.to_string().contains("`event.data.x` is a list or object"), "{error}");
    }
}

#[test]
fn a_name_that_is_none_needs_a_default() {
    let set = sms_set("Hi {{customer.first_name}}", &[]).ok().unwrap();
    let soft = sms_set("Hi {{default (title customer.first_name) \"there\"}}", &[]).ok().unwrap();
    for name in ["NA", "n/a", ".", "-", "null", "Customer", "", "  "] {
        let who = customer(&[("first_name", name)], "en");
        assert_eq!(sms(&set, json!({}), &who), missing("customer.first_name"), "{name}");
        assert_eq!(sms(&soft, json!({}), &who), Ok("Hi there".into()), "{name}");
    }
    let who = customer(&[("first_name", " aSHA mehta-rao ")], "en");
    assert_eq!(sms(&soft, json!({}), &who), Ok("Hi ASHA Mehta-Rao".into()));
}

#[test]
fn a_field_that_is_not_declared_cannot_be_named_and_is_not_there() {
    let fault = sms_set("{{customer.mobile}}", &[]).err().unwrap()[0].to_string();
    assert!(fault.contains("`customer.mobile` is not in `reads`"), "{fault}");
    for text in [
        "{{#each customer}}{{this}}{{/each}}",
        "{{#with customer}}{{mobile}}{{/with}}",
        "{{lookup customer \"mobile\"}}",
    ] {
        assert!(sms_set(text, &[]).is_err(), "{text}");
    }
}

#[test]
fn words_that_do_not_exist_get_the_nearest_that_does() {
    for (text, expected) in [
        ("{{evnt.data.x}}", "did you mean `event`?"),
        ("{{data.points}}", "did you mean `event.data.points`?"),
        ("{{event.dat.x}}", "`event.dat.x` does not exist"),
        ("{{customer.firstname}}", "did you mean `customer.first_name`?"),
        ("{{org.link.home}}", "does not exist"),
        ("{{numbr event.data.x}}", "did you mean `number`?"),
        ("{{number event.data.x decimal=2}}", "did you mean `decimals=`?"),
        ("{{number}}", "takes 1 values, not 0"),
        ("{{date event.data.x \"dd-mmm-yyyy\"}}", "is not a date format"),
        ("{{default customer.first_name \"\"}}", "an empty default leaves a gap"),
        ("{{#if event.data.x > 5}}y{{/if}}", "cannot stand in a tag"),
        ("{{#if eq event.data.x 5}}y{{/if}}", "takes one value"),
        ("{{#eq event.data.x 5}}y{{/eq}}", "write `{{#if (eq …)}}`"),
        ("{{#if event.data.x}}y", "is never closed"),
        ("{{#if event.data.x}}y{{/each}}", "expected `{{/if}}`"),
        ("{{/if}}", "closes nothing"),
        ("{{event.data.x", "never closed"),
        ("{{}}", "an empty tag"),
        ("\\{{event.data.x}}", "backslash"),
        ("{{store.name}}", "needs the table"),
        ("{{lookup_table \"x\" event.id \"y\"}}", "`_tables/x.csv` does not exist"),
        ("{{../event.data.x}}", "reached by their name"),
        ("{{#each items}}{{@foo}}{{/each}}", "does not exist here"),
    ] {
        let fault = sms_set(text, &[]).err().map(|f| f[0].to_string()).unwrap_or_default();
        assert!(fault.contains(expected), "{text}: {fault}");
        assert!(fault.contains("t/sms.txt.hbs:1"), "{text}: {fault}");
    }
}

#[test]
fn loops_see_elements_and_everything_else_by_name() {
    let data = json!({"list": [{"code": "A", "n": 1}, {"code": "B", "n": 2.0}]});
    let text =
        "{{#each event.data.list}}{{#unless @first}}, {{/unless}}{{@index}}{{code}}{{this.n}}{{event.id}}{{/each}}";
    assert_eq!(say(text, data.clone()), Ok("0A1e-1, 1B2e-1".into()));
    let text = "{{#each event.data.list as |c i|}}{{i}}{{c.code}}{{upper c.code}}{{org.name}} {{/each}}";
    assert_eq!(say(text, data.clone()), Ok("0AAAcme 1BBAcme".into()));
    let text = "{{#with event.data.list.1}}{{code}}{{#each event.data.list}}{{../code}}{{/each}}{{/with}}";
    assert_eq!(say(text, data), Ok("BBB".into()));
}

#[test]
fn comparisons_are_total() {
    let data = json!({"a": 8, "b": 8.0, "s": "regular", "t": true, "z": 0, "m": "1250.50"});
    for (condition, expected) in [
        ("(eq event.data.a event.data.b)", true),
        ("(eq event.data.a \"8\")", true),
        ("(gt event.data.m 1250)", true),
        ("(eq event.data.s \"regular\")", true),
        ("(ne event.data.missing 1)", true),
        ("(eq event.data.missing event.data.missing)", false),
        ("(gt event.data.missing 0)", false),
        ("(lte event.data.missing 0)", false),
        ("(and event.data.t (gte event.data.a 8))", true),
        ("(or event.data.missing event.data.z)", false),
        ("(not event.data.missing)", true),
        ("(lt event.data.a 8.5)", true),
        ("event.data.z", false),
    ] {
        let text = format!("{{{{#if {condition}}}}}yes{{{{else}}}}no{{{{/if}}}}");
        let expected = if expected { "yes" } else { "no" };
        assert_eq!(say(&text, data.clone()), Ok(expected.into()), "{condition}");
    }
}

fn in_locale(locale: &str, text: &str, data: Value) -> Result<String, RenderError> {
    let toml = format!(
        "[template]\ncategory = \"service\"\nreads = []\nlocale = \"{locale}\"\n[email]\nsender = \"x\"\nsubject = '{text}'\n"
    );
    let set = load(&[("t/template.toml", &toml), ("t/email.txt.hbs", "x")]).unwrap_or_else(|f| panic!("{f:?}"));
    let (event, org, nobody) = (event(data), org(), customer(&[], locale));
    let now = crate::clock::Time::from_millis(0);
    let input = RenderInput { channel: Channel::Email, event: &event, items: &[], customer: &nobody, org: &org, now };
    match set.render(&id("t"), &input)? {
        Content::Email { subject, .. } => Ok(subject.expose().to_owned()),
        Content::Sms { .. } => panic!("asked for a mail"),
    }
}

#[test]
fn numbers_are_grouped_as_their_readers_do() {
    for (locale, value, expected) in [
        ("en-IN", json!(1_234_567.5), "12,34,567.5"),
        ("hi", json!(100_000), "1,00,000"),
        ("en-US", json!(1_234_567), "1,234,567"),
        ("de", json!(1_234_567.25), "1.234.567,25"),
        ("fr-FR", json!(1_234.5), "1 234,5"),
        ("ar-SA", json!(127_450.0), "127,450"),
        ("en", json!(0.1 + 0.2), "0.3"),
        ("en", json!(-0.004), "0"),
        ("en", json!(-1_234.567), "-1,234.57"),
        ("en", json!(999.995), "1,000"),
        ("en", json!(1e21), "1,000,000,000,000,000,000,000"),
        ("en", json!("1250.50"), "1,250.5"),
        ("en", json!(12), "12"),
        ("en-IN", json!(999), "999"),
        ("en-IN", json!(1000), "1,000"),
    ] {
        assert_eq!(
            in_locale(locale, "{{number event.data.n}}", json!({"n": value})),
            Ok(expected.into()),
            "{locale} {value}"
        );
    }
    assert_eq!(in_locale("en", "{{number event.data.n decimals=2}}", json!({"n": 5})), Ok("5.00".into()));
    assert!(in_locale("en", "{{number event.data.n}}", json!({"n": "many"})).is_err());
}

#[test]
fn money_knows_symbols_digits_and_sides() {
    for (locale, currency, value, expected) in [
        ("en-IN", "INR", json!(79056.5), "₹79,056.50"),
        ("en-US", "USD", json!(1.005), "$1.01"),
        ("en", "IDR", json!(79056), "Rp79,056"),
        ("id", "IDR", json!(79056), "Rp79.056"),
        ("en", "JPY", json!(1500), "¥1,500"),
        ("en-AE", "AED", json!(1250), "AED 1,250.00"),
        ("ar", "KWD", json!(3.5), "KWD 3.500"),
        ("de", "EUR", json!(1250), "1.250,00 €"),
        ("fr", "CHF", json!(12.5), "12,50 CHF"),
        ("en", "EUR", json!(-5), "-€5.00"),
        ("en", " ", json!(5), "₹5.00"),
        ("en", "usd", json!(5), "$5.00"),
    ] {
        let data = json!({"n": value, "currencyCode": currency});
        assert_eq!(in_locale(locale, "{{money event.data.n}}", data), Ok(expected.into()), "{locale} {currency}");
    }
    assert_eq!(in_locale("en", "{{money event.data.n \"GBP\"}}", json!({"n": 2})), Ok("£2.00".into()));
    assert!(in_locale("en", "{{money event.data.n \"pounds\"}}", json!({"n": 2})).is_err());
    // In an SMS the rupee sign would double the price.
    assert_eq!(say("{{money event.data.n}}", json!({"n": 1250})), Ok("Rs. 1,250.00".into()));
}

#[test]
fn dates_come_in_every_form_and_leave_in_one() {
    for value in [
        json!(1_767_205_800_000_i64),
        json!(1_767_205_800_000.0),
        json!(1_767_205_800),
        json!("1767205800000"),
        json!("2026-01-01"),
        json!("2026-01-01 00:00:00"),
        json!("2026-01-01 00:00:00.0"),
        json!("2026-01-01T00:00:00.000+0530"),
        json!("2025-12-31T18:30:00.000+0000"),
        json!("2025-12-31T18:30:00Z"),
        json!("Wed Dec 31 18:30:00 GMT 2025"),
    ] {
        let data = json!({"d": value});
        assert_eq!(in_locale("en", "{{date event.data.d}}", data), Ok("1 Jan 2026".into()), "{value}");
    }
    let data = json!({"d": 1_772_366_400_000_i64});
    for (locale, format, expected) in [
        ("en", "long", "1 March 2026"),
        ("hi", "long", "1 मार्च 2026"),
        ("ar-SA", "short", "1 مارس 2026"),
        ("fr", "long", "01/03/2026"),
        ("en", "mm/dd/yyyy", "03/01/2026"),
        ("en", "dd/mm/yyyy", "01/03/2026"),
        ("en", "yyyy-mm-dd", "2026-03-01"),
        ("en", "mm/dd/yy", "03/01/26"),
        ("en", "dd Mon yyyy", "01 Mar 2026"),
        ("en", "Day, Mon dd, yy", "Sun, Mar 01, 26"),
        ("en", "dd.mm.yy", "01.03.26"),
        ("en", "dd Mon", "01 Mar"),
        ("en", "time", "17:30"),
    ] {
        let text = format!("{{{{date event.data.d \"{format}\"}}}}");
        assert_eq!(in_locale(locale, &text, data.clone()), Ok(expected.into()), "{locale} {format}");
    }
}

#[test]
fn a_date_that_means_never_is_missing() {
    for value in [json!(4_879_765_799_000_i64), json!("2121-04-27"), json!("2124-08-19"), json!(0), json!(-1)] {
        let data = json!({"d": value});
        assert_eq!(in_locale("en", "{{date event.data.d}}", data.clone()), missing("event.data.d"), "{value}");
        let text = "{{#if (is_date event.data.d)}}until {{date event.data.d}}{{else}}for ever{{/if}}";
        assert_eq!(in_locale("en", text, data), Ok("for ever".into()), "{value}");
    }
    assert!(matches!(in_locale("en", "{{date event.data.d}}", json!({"d": "soon"})), Err(RenderError::Failed { .. })));
}

#[test]
fn a_date_is_shown_in_the_readers_zone() {
    let set = sms_set("{{date event.data.d \"datetime\"}} {{date event.data.l \"datetime\"}}", &[]).ok().unwrap();
    let mut who = customer(&[], "en");
    // 20:00 UTC; and noon in the org's zone without an offset.
    let data = json!({"d": 1_772_395_200_000_i64, "l": "2026-03-01 12:00:00"});
    assert_eq!(sms(&set, data.clone(), &who), Ok("2 Mar 2026, 01:30 1 Mar 2026, 12:00".into()));
    who.time_zone = Some("Europe/London".into());
    assert_eq!(sms(&set, data.clone(), &who), Ok("1 Mar 2026, 20:00 1 Mar 2026, 06:30".into()));
    who.time_zone = Some("Not/AZone".into());
    assert_eq!(sms(&set, data, &who), Ok("2 Mar 2026, 01:30 1 Mar 2026, 12:00".into()));
}

#[test]
fn a_date_is_right_on_days_when_clocks_are_turned_and_on_leap_days() {
    let set = sms_set("{{date event.data.d \"datetime\"}}", &[]).ok().unwrap();
    let mut who = customer(&[], "en");
    let mut shown = |zone: &str, value: Value| {
        who.time_zone = Some(zone.into());
        sms(&set, json!({"d": value}), &who).unwrap()
    };
    for (zone, instant, expected) in [
        ("Europe/London", "2026-03-29T00:59:59Z", "29 Mar 2026, 00:59"),
        ("Europe/London", "2026-03-29T01:00:00Z", "29 Mar 2026, 02:00"),
        ("Europe/London", "2026-10-25T00:30:00Z", "25 Oct 2026, 01:30"),
        ("Europe/London", "2026-10-25T01:30:00Z", "25 Oct 2026, 01:30"),
        ("America/New_York", "2026-03-08T06:59:59Z", "8 Mar 2026, 01:59"),
        ("America/New_York", "2026-03-08T07:00:00Z", "8 Mar 2026, 03:00"),
        ("America/New_York", "2026-11-01T03:59:59Z", "31 Oct 2026, 23:59"),
        ("Asia/Kolkata", "2026-03-29T01:00:00Z", "29 Mar 2026, 06:30"),
        ("Asia/Kolkata", "2028-02-28T18:30:00Z", "29 Feb 2028, 00:00"),
        ("Asia/Kolkata", "2027-02-28T18:30:00Z", "1 Mar 2027, 00:00"),
        ("America/New_York", "2028-03-01T04:59:59Z", "29 Feb 2028, 23:59"),
    ] {
        let millis = instant.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        assert_eq!(shown(zone, json!(instant)), expected, "{zone} {instant}");
        assert_eq!(shown(zone, json!(millis)), expected, "{zone} {instant}, in milliseconds");
    }
    // A date without a time is that date everywhere, a leap day too.
    for zone in ["Europe/London", "America/New_York", "Asia/Kolkata"] {
        assert_eq!(shown(zone, json!("2028-02-29")), "29 Feb 2028, 00:00", "{zone}");
        assert_eq!(shown(zone, json!("2026-03-29")), "29 Mar 2026, 00:00", "{zone}");
    }
    assert!(sms(&set, json!({"d": "2027-02-29"}), &who).is_err(), "no such day");
}

#[test]
fn plurals_follow_the_language() {
    let text = "{{plural event.data.n \"one\" \"other\" zero=\"zero\" two=\"two\" few=\"few\" many=\"many\"}}";
    for (locale, n, expected) in [
        ("en", json!(1), "one"),
        ("en", json!(1.0), "one"),
        ("en", json!(1.5), "other"),
        ("en", json!(0), "other"),
        ("hi", json!(0), "one"),
        ("ar", json!(0), "zero"),
        ("ar", json!(2), "two"),
        ("ar", json!(7), "few"),
        ("ar", json!(11), "many"),
        ("ar", json!(100), "other"),
    ] {
        assert_eq!(in_locale(locale, text, json!({"n": n})), Ok(expected.into()), "{locale} {n}");
    }
}

#[test]
fn tables_are_looked_up_and_their_faults_named() {
    let stores = ("_tables/stores.csv", "code,name,city\nS1,\"Oakfield, East\",\nS2,Riverside,Pune\n");
    let set =
        sms_set("{{store.name}} {{default store.city \"-\"}} {{lookup_table \"stores\" \"S2\" \"city\"}}", &[stores]);
    let set = set.unwrap_or_else(|f| panic!("{f:?}"));
    let at = |code: &str| json!({"enteredBy": {"store": {"code": code}}});
    let nobody = customer(&[], "en");
    assert_eq!(sms(&set, at("S1"), &nobody), Ok("Oakfield, East - Pune".into()));
    assert_eq!(sms(&set, at("S9"), &nobody), missing("store.name"));
    let bad = ("_tables/stores.csv", "code,name\nS1,A\nS1,B\nS2\n,C\n");
    let faults = sms_set("x", &[bad]).err().unwrap();
    let lines: Vec<_> = faults.iter().map(|f| (f.line, f.what.as_str())).collect();
    assert_eq!(
        lines,
        [
            (Some(3), "key `S1` stands twice"),
            (Some(4), "has 1 cells; expected 2"),
            (Some(5), "the first column is the key; it is empty")
        ]
    );
}

#[test]
fn lists_are_searched_by_a_key() {
    let data = json!({"tiers": [{"n": 1, "name": "Silver"}, {"n": 2.0, "name": "Gold"}], "now": 2});
    let text = "{{find event.data.tiers \"n\" event.data.now \"name\"}}";
    assert_eq!(say(text, data), Ok("Gold".into()));
    assert_eq!(say(text, json!({"tiers": [], "now": 2})), missing("event.data.tiers"));
}
