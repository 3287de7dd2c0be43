//! Ids that stand beside several people, by mistake or by a merge: nobody becomes somebody else.

use super::meaning::run;

#[test]
fn one_customer_is_one_person_unless_a_merge_says_otherwise() {
    let cases = [
        (
            "another external id is another person, and the customer id goes with the newer fact",
            "
            put e1 c1 Asha @10
            put e2 Asha-Rao @20
            learn c1 e2 @30 -> conflicts 1, woken
            c1 is Asha-Rao
            e1 is Asha
            e2 is Asha-Rao
            learn c1 e1 @15 -> conflicts 1, clean
            c1 is Asha-Rao",
        ),
        (
            "an external id that stands beside many customers makes nobody of them another one",
            "
            put c1 e1 Anna @10
            put c2 e1 Bob @10 -> conflicts 1
            put c3 e1 Cyd @11 -> conflicts 1
            c1 is Anna
            c2 is Bob
            c3 is Cyd
            e1 is Cyd
            c2 e1 is Bob",
        ),
        (
            "a customer id that stands beside many external ids gives nobody another one's contact",
            "
            put c1 e1 Anna @10
            put c1 e2 Bob @10 -> conflicts 1
            put e3 c1 Cyd @11 -> conflicts 1
            e1 is Anna
            e2 is Bob
            e3 is Cyd
            c1 is Cyd",
        ),
        (
            "customers whom events mixed up before their contacts came are told apart",
            "
            learn c1 e1 @1
            learn c2 e1 @2 -> conflicts 1
            put c1 Ina @5 -> woken c1
            put c2 Jon @5 -> woken c2 e1
            c1 is Ina
            c2 is Jon",
        ),
        (
            "the same, the other way round",
            "
            learn c2 e1 @2
            learn c1 e1 @1 -> conflicts 1, clean
            put c1 Ina @5
            put c2 Jon @5
            c1 is Ina
            c2 is Jon
            e1 is Jon",
        ),
        (
            "whoever has no contact yet is not taken for who has the weaker name",
            "
            put c1 e1 Anna @10
            learn c2 e1 @5 -> conflicts 1
            c2 e1 is unknown
            e1 is Anna
            c1 e9 is Anna",
        ),
        (
            "two without a contact are not joined by a card",
            "
            learn c1 k1 @1
            learn c2 k2 @2
            learn k1 k2 @3 -> conflicts 1
            put c1 Asha @5
            k2 is Asha
            c2 is unknown",
        ),
        (
            "one fact has one customer id",
            "
            put c1 c2 e1 Asha @10 -> conflicts 1, woken c1 e1
            c2 is unknown",
        ),
        (
            "several external ids that the brand tells of one person are theirs",
            "
            put e1 e2 Asha @10
            put e2 Asha-Rao @20
            e1 is Asha-Rao
            learn c1 e1 @30
            learn c2 e2 @40 -> conflicts 1
            c1 is Asha-Rao
            c2 is unknown",
        ),
        (
            "the external ids of merged people are theirs, whenever they are learned",
            "
            merge c1 <- c2 @50
            learn c2 e2 @10
            learn c1 e1 @60 -> conflicts 0
            put e1 Asha @70
            c2 is Asha
            e2 is Asha
            learn c2 e3 @80 -> conflicts 1
            e3 is unknown
            c1 is Asha",
        ),
        (
            "the victim of a merge is who bears its customer id",
            "
            put c1 Asha @10
            put c3 e3 Ravi @10
            merge c1 <- c2 e3 @5 -> conflicts 1
            c2 is Asha
            c3 is Ravi
            e3 is Ravi",
        ),
        (
            "the survivor of a merge is who bears its customer id",
            "
            put c1 e5 Asha @20
            put c2 Ghost @10
            merge c1 e1 <- c2 @15 -> conflicts 1
            c2 is Asha",
        ),
    ];
    for (name, script) in cases {
        run(name, script);
    }
}
