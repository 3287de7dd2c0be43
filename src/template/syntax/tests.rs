//! The reader and the writer.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn read(source: &str) -> Result<Vec<Node>, Issue> {
    parse(&Arc::from("t"), source)
}

#[test]
fn what_is_read_can_be_written_and_read_again() {
    for source in [
        "plain",
        "{{event.id}} {{number event.data.x decimals=2}} {{default (upper customer.first_name) \"a\\\"b\" 'c'}}",
        "{{#if (and a.b (not c))}}x{{else if d}}y{{else}}z{{/if}}",
        "{{#each items as |a i|}}{{a.[odd key]}}{{../x}}{{@index}}{{this}}{{this.y}}{{else}}none{{/each}}",
    ] {
        let tree = read(source).unwrap();
        assert_eq!(read(&write(&tree, Mode::Source).unwrap()).unwrap(), tree, "{source}");
    }
}

#[test]
fn the_engine_gets_absolute_guarded_values_and_paid_loops() {
    let engine = |source: &str| write(&read(source).unwrap(), Mode::Engine).unwrap();
    assert_eq!(engine("{{event.id}}"), "{{sp_value @root.event.id}}");
    assert_eq!(engine("{{upper customer.first_name}}"), "{{upper @root.customer.first_name}}");
    assert_eq!(
        engine("{{#each items as |c|}}{{c.x}}{{event.id}}{{/each}}"),
        "{{#each @root.items sp_paid=(sp_fuel @root.items 3) as |c|}}{{sp_value c.x}}{{sp_value @root.event.id}}{{/each}}"
    );
    assert_eq!(
        engine("{{#with event.data as |item|}}{{item.x}}{{/with}}"),
        "{{#with @root.event.data as |item|}}{{sp_value item.x}}{{/with}}"
    );
}

#[test]
fn white_space_marks_and_comments_work() {
    let plain = |source: &str| write(&read(source).unwrap(), Mode::Source).unwrap();
    assert_eq!(plain("a  {{~event.id~}}  b"), "a{{event.id}}b");
    assert_eq!(plain("a {{! note }}b{{!-- {{x}} --}}c"), "a bc");
    assert_eq!(plain("a  {{~!-- x --~}}  b"), "ab");
    assert_eq!(plain("a\n{{!-- alone --}}\nb"), "a\nb");
}

#[test]
fn a_tag_never_joins_the_text_before_it() {
    let pos = Pos { file: Arc::from("t"), line: 1 };
    let tag = read("{{event.id}}").unwrap().remove(0);
    for text in ["{", "\\"] {
        let nodes = [Node::Text { text: text.into(), pos: pos.clone() }, tag.clone()];
        assert!(write(&nodes, Mode::Engine).is_err(), "{text}");
    }
}

#[test]
fn faults_say_what_and_where() {
    for (source, line, expected) in [
        ("a\nb {{event.id", 2, "never closed"),
        ("{{#if a}}\n{{#each b}}\n{{/if}}", 3, "closes `{{#each}}` of line 2"),
        ("\n{{else}}", 2, "outside a block"),
        ("{{#if a}}{{else}}{{else}}{{/if}}", 1, "a second `{{else}}`"),
        ("{{x y=}}", 1, "without a value"),
        ("{{x (y}}", 1, "never closed"),
        ("{{x y)}}", 1, "`)` without `(`"),
        ("{{\"text\"}}", 1, "cannot start with a text"),
        ("{{x 1.2.3}}", 1, "is not a number"),
        ("{{x \"a\\q\"}}", 1, "is not an escape"),
        ("{{#each a as |b}}{{/each}}", 1, "expected `as |name|`"),
        ("{{a..b}}", 1, "is not a variable"),
        ("{{x ; y}}", 1, "cannot stand in a tag"),
    ] {
        let issue = read(source).unwrap_err();
        assert!(issue.what.contains(expected), "{source}: {}", issue.what);
        assert_eq!(issue.pos.line, line, "{source}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_reader_panic(source in "[{}#/~!>\"'()=|.@ a-e\n\\\\é]{0,60}") {
        if let Ok(tree) = read(&source)
            && let Ok(again) = write(&tree, Mode::Source)
        {
            prop_assert_eq!(read(&again).map(|t| write(&t, Mode::Source)), Ok(Ok(again)));
        }
    }
}
