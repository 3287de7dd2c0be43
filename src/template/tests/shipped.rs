//! The shipped templates.

use super::kit::org;
use super::*;
use std::sync::LazyLock;

use crate::clock::Time;

static SET: LazyLock<TemplateSet> = LazyLock::new(|| {
    TemplateSet::load(&TemplateSource::Embedded, None).unwrap_or_else(|f| panic!("{}", crate::config::Faults(f)))
});

#[test]
fn the_shipped_templates_load_and_their_examples_hold() {
    let set = &*SET;
    let faults = set.check_examples();
    assert!(faults.is_empty(), "{}", crate::config::Faults(faults));
    assert_eq!(set.all().len(), 21);
}

fn show(template: &str, example: &str, locale: &str, channel: Channel) -> String {
    let set = &*SET;
    let id = super::kit::id(template);
    let mut example = set.examples(&id).into_iter().find(|e| e.name == example).unwrap();
    example.customer.locale = Some(locale.into());
    let now = Time::from_millis(1_798_966_564_257);
    let org = org();
    let input = RenderInput {
        channel,
        event: &example.facts,
        items: &example.items,
        customer: &example.customer,
        org: &org,
        now,
    };
    match set.render(&id, &input).unwrap() {
        Content::Email { subject, text, .. } => {
            format!("{}\n\n{}", subject.expose(), text.expose())
        }
        Content::Sms { text, vars, .. } => {
            let vars: Vec<&str> = vars.iter().map(Personal::expose).collect();
            format!("{}\n{vars:?}\n{:?}", text.expose(), segments::count(text.expose()))
        }
    }
}

#[test]
fn every_shipped_mail_is_complete_html_that_clients_show_whole() {
    let set = &*SET;
    let org = org();
    for info in set.all() {
        for mut example in set.examples(&info.id).into_iter().filter(|e| e.fires != Some(false)) {
            for locale in &info.locales {
                example.customer.locale = Some(locale.clone());
                let now = Time::from_millis(1_798_966_564_257);
                let (event, items, customer) = (&example.facts, &example.items, &example.customer);
                let input = RenderInput { channel: Channel::Email, event, items, customer, org: &org, now };
                let Ok(Content::Email { html: Some(html), .. }) = set.render(&info.id, &input) else {
                    panic!("{} {locale}", info.id)
                };
                let html = html.expose();
                let place = format!("{} {} {locale}", info.id, example.name);
                // Gmail cuts at about 102 KB.
                assert!(html.len() < 60_000, "{place}: {}", html.len());
                assert!(!html.contains("{{") && !html.contains("<mj-") && !html.contains("sptok"), "{place}");
                let direction = if locale == "ar" { "dir=\"rtl\"" } else { "dir=\"ltr\"" };
                for part in [
                    "<!doctype html>",
                    "color-scheme",
                    "prefers-color-scheme: dark",
                    "display:none",
                    direction,
                    "</html>",
                ] {
                    assert!(html.contains(part), "{place}: {part}");
                }
                assert!(!html.contains("fonts.googleapis"), "{place}: nothing is loaded from elsewhere");
                // A closed membership has no account to look at.
                let account = html.contains("href=\"https://acme.example/account?from&#x3D;mail&amp;x&#x3D;1\"");
                assert_eq!(account, info.id.as_str() != "account-deleted", "{place}");
            }
        }
    }
}

#[test]
fn a_new_member_is_welcomed() {
    insta::assert_snapshot!(show("welcome", "named", "en-IN", Channel::Email), @r#"
    Welcome to Acme, Asha

    Acme

    Welcome, Asha.

    It is good to have you with us. From today, every purchase brings you closer to your next reward.

    1 Earn
    Collect points whenever you shop with us, in store and online.
    2 Rise
    Reach higher tiers and unlock more with every step.
    3 Enjoy
    Turn your points into rewards, whenever you like.

    See your membership (https://acme.example/account?from=mail&x=1)

    You receive this message because you joined the Acme loyalty programme.
    Acme (https://acme.example/)
    "#);
    insta::assert_snapshot!(show("welcome", "named", "en-IN", Channel::Sms), @r#"
    Hi Asha, welcome to Acme! Your membership is active: earn points every time you shop with us.
    ["Asha", "Acme"]
    Segments { encoding: Gsm7, count: 1, units: 93, forced_by: None }
    "#);
    insta::assert_snapshot!(show("welcome", "named", "hi", Channel::Email), @r#"
    Acme में आपका स्वागत है, Asha

    Acme

    स्वागत है, Asha।

    हमें खुशी है कि आप हमारे साथ हैं। आज से हर खरीदारी आपको अगले इनाम के और करीब लाएगी।

    1 कमाएँ
    स्टोर में या ऑनलाइन, हर खरीदारी पर अंक पाएँ।
    2 बढ़ें
    ऊँचे स्तर पर पहुँचें और हर कदम पर ज़्यादा लाभ पाएँ।
    3 आनंद लें
    जब चाहें, अपने अंकों को इनाम में बदलें।

    अपनी सदस्यता देखें (https://acme.example/account?from=mail&x=1)

    यह संदेश आपको इसलिए मिला है क्योंकि आप Acme लॉयल्टी प्रोग्राम से जुड़े हैं।
    Acme (https://acme.example/)
    "#);
    insta::assert_snapshot!(show("welcome", "named", "hi", Channel::Sms), @r#"
    नमस्ते Asha, Acme में आपका स्वागत है! आपकी सदस्यता शुरू हो गई है: हर खरीदारी पर अंक पाएँ।
    ["Asha", "Acme"]
    Segments { encoding: Ucs2, count: 2, units: 89, forced_by: Some('न') }
    "#);
    insta::assert_snapshot!(show("welcome", "named", "ar-SA", Channel::Email), @r#"
    أهلًا بك في Acme يا Asha

    Acme

    أهلًا بك يا Asha.

    يسعدنا انضمامك إلينا. من اليوم، كل عملية شراء تقرّبك من مكافأتك القادمة.

    1 اكسب
    اجمع النقاط كلما تسوّقت معنا، في المتجر أو عبر الإنترنت.
    2 ارتقِ
    اصعد إلى مستويات أعلى واحصل على المزيد مع كل خطوة.
    3 استمتع
    حوّل نقاطك إلى مكافآت وقتما تشاء.

    اطّلع على عضويتك (https://acme.example/account?from=mail&x=1)

    وصلتك هذه الرسالة لأنك انضممت إلى برنامج ولاء Acme.
    Acme (https://acme.example/)
    "#);
    insta::assert_snapshot!(show("welcome", "named", "ar-SA", Channel::Sms), @r#"
    مرحبًا Asha، أهلًا بك في Acme! عضويتك مفعّلة الآن: اكسب النقاط كلما تسوّقت معنا.
    ["Asha", "Acme"]
    Segments { encoding: Ucs2, count: 2, units: 80, forced_by: Some('م') }
    "#);
}

#[test]
fn points_that_are_promised_or_end_at_several_times_are_not_called_ready_nor_given_one_date() {
    for locale in ["en-IN", "hi-IN", "ar", "es"] {
        let (whole, part) = (
            show("points-issued", "regular", locale, Channel::Email),
            show("points-issued", "promised", locale, Channel::Email),
        );
        // The year of the date; of the points, of the balance and of everything else there is none in either.
        assert!(whole.contains("2027") || whole.contains("٢٠٢٧"), "{whole}");
        assert!(!part.contains("2026") && !part.contains("٢٠٢٦"), "{part}");
    }
    assert!(!show("points-issued", "promised", "en-IN", Channel::Email).contains("ready to use"));
}

#[test]
fn points_are_announced() {
    insta::assert_snapshot!(show("points-issued", "regular", "en-IN", Channel::Email), @r#"
    You earned 1,250 points

    Acme

    Well done, Asha.

    Your points have arrived and are ready to use.

    1,250
    points earned

    Your balance 1,27,450
    Programme Autumn Bonus
    Use them by 31 December 2027

    See your points (https://acme.example/account?from=mail&x=1)

    You receive this message because points were credited to your Acme membership.
    Acme (https://acme.example/)
    "#);
    insta::assert_snapshot!(show("points-issued", "regular", "en-IN", Channel::Sms), @r#"
    Dear Asha, you earned 1,250 points. Your balance is now 1,27,450. Acme
    ["Asha", "1,250 points", "1,27,450", "Acme"]
    Segments { encoding: Gsm7, count: 1, units: 70, forced_by: None }
    "#);
    insta::assert_snapshot!(show("points-issued", "regular", "hi-IN", Channel::Email), @r#"
    आपको 1,250 अंक मिले

    Acme

    बधाई हो, Asha।

    आपके अंक खाते में जुड़ गए हैं और इस्तेमाल के लिए तैयार हैं।

    1,250
    अंक मिले

    आपके कुल अंक 1,27,450
    प्रोग्राम Autumn Bonus
    इस तारीख तक इस्तेमाल करें 31 दिसंबर 2027

    अपने अंक देखें (https://acme.example/account?from=mail&x=1)

    यह संदेश आपको इसलिए मिला है क्योंकि आपकी Acme सदस्यता में अंक जोड़े गए हैं।
    Acme (https://acme.example/)
    "#);
    insta::assert_snapshot!(show("points-issued", "regular", "hi-IN", Channel::Sms), @r#"
    प्रिय Asha, आपको 1,250 अंक मिले। अब आपके पास कुल 1,27,450 अंक हैं। Acme
    ["Asha", "1,250", "1,27,450", "Acme"]
    Segments { encoding: Ucs2, count: 2, units: 71, forced_by: Some('प') }
    "#);
    insta::assert_snapshot!(show("points-issued", "regular", "ar", Channel::Email), @r#"
    كسبت 1,250 نقطة

    Acme

    أحسنت يا Asha.

    وصلت نقاطك وهي جاهزة للاستخدام.

    1,250
    نقطة مكتسبة

    رصيدك 127,450
    البرنامج Autumn Bonus
    صالحة حتى 31 ديسمبر 2027

    اطّلع على نقاطك (https://acme.example/account?from=mail&x=1)

    وصلتك هذه الرسالة لأن نقاطًا أُضيفت إلى عضويتك في Acme.
    Acme (https://acme.example/)
    "#);
    insta::assert_snapshot!(show("points-issued", "regular", "ar", Channel::Sms), @r#"
    مرحبًا Asha، النقاط المكتسبة: 1,250. رصيدك الآن: 127,450. Acme
    ["Asha", "1,250", "127,450", "Acme"]
    Segments { encoding: Ucs2, count: 1, units: 62, forced_by: Some('م') }
    "#);
}

#[test]
fn a_purchase_is_thanked_for() {
    insta::assert_snapshot!(show("purchase-thank-you", "regular", "en-IN", Channel::Email), @r#"
    Thank you for your purchase of ₹79,056.50

    Acme

    Thank you, Asha.

    Your purchase at Riverside Store is complete. Here are the details for your records.

    ₹79,056.50
    total

    Bill number 8_944412_26645714_386749
    Date 3 Jan 2027, 12:02
    Store Riverside Store
    Items 3
    You saved ₹1,500.00

    See your purchases (https://acme.example/account?from=mail&x=1)

    You receive this message because you made a purchase as a member of Acme.
    Acme (https://acme.example/)
    "#);
    insta::assert_snapshot!(show("purchase-thank-you", "regular", "en-IN", Channel::Sms), @r#"
    Thank you Asha, we received your purchase of Rs. 79,056.50 on 03 Jan 2027. Acme
    ["Asha", "Rs. 79,056.50", "03 Jan 2027", "Acme"]
    Segments { encoding: Gsm7, count: 1, units: 79, forced_by: None }
    "#);
}

#[test]
fn a_new_tier_is_celebrated_and_never_is_not_printed() {
    insta::assert_snapshot!(show("tier-upgraded", "for-ever", "en-IN", Channel::Email), @r#"
    You are now Gold

    Acme

    Congratulations, Asha.

    Your loyalty has taken you one step further. Your new benefits are active from today.

    Gold
    your new tier

    Programme Acme Circle

    See your benefits (https://acme.example/account?from=mail&x=1)

    You receive this message because your tier in the Acme loyalty programme changed.
    Acme (https://acme.example/)
    "#);
    insta::assert_snapshot!(show("tier-upgraded", "for-ever", "en-IN", Channel::Sms), @r#"
    Congratulations Asha! Your new tier: Gold. Your new benefits are active. Acme
    ["Asha", "Gold", "Acme"]
    Segments { encoding: Gsm7, count: 1, units: 77, forced_by: None }
    "#);
}

#[test]
fn all_coupons_of_a_person_stand_in_one_message() {
    insta::assert_snapshot!(show("coupon-issued", "two", "en-IN", Channel::Email), @r#"
    Your coupons are here

    Acme

    This is for you.

    A little thank you from all of us.

    AAA11111
    your code · valid until 2 February 2027

    BBB22222
    your code · valid until 2 February 2027

    Use it now (https://acme.example/account?from=mail&x=1)

    You receive this message because Acme issued a coupon to you.
    Acme (https://acme.example/)
    "#);
    insta::assert_snapshot!(show("coupon-issued", "two", "en-IN", Channel::Sms), @r#"
    Dear member, your coupon code is AAA11111. Valid: until 02 Feb 2027. Acme
    ["member", "AAA11111", "until 02 Feb 2027", "Acme"]
    Segments { encoding: Gsm7, count: 1, units: 73, forced_by: None }
    "#);
}

/// What a phone shows of each first example, with its segments.
#[test]
fn every_shipped_text_message_says_one_thing_well() {
    let set = &*SET;
    let mut said = String::new();
    for info in set.all() {
        let examples: Vec<_> = set.examples(&info.id).into_iter().filter(|e| e.fires != Some(false)).collect();
        for locale in ["en-IN", "hi-IN"].into_iter().filter(|l| *l == "en-IN" || info.locales.iter().any(|l| l == "hi"))
        {
            let text = show(info.id.as_str(), &examples[0].name, locale, Channel::Sms);
            let text = text.lines().next().unwrap_or_default();
            said.push_str(&format!("{} {locale}\n  {text}\n", info.id));
            assert!(segments::count(text).count <= 3, "{} {locale}: {text}", info.id);
        }
    }
    insta::assert_snapshot!(said, @r#"
    account-deleted en-IN
      Your Acme membership was closed on 03 Jan 2027 and your details will be removed. If you did not ask for this, please tell us.
    account-deleted hi-IN
      आपकी Acme सदस्यता 03 जन॰ 2027 को बंद कर दी गई है और आपकी जानकारी हटा दी जाएगी।
    badge-earned en-IN
      Well done Asha, you have earned a badge on 03 Jan 2027. See it in your account. Acme
    coupon-issued en-IN
      Dear Asha, your coupon code is 8TMDPSGD. Valid: until 02 Feb 2027. Acme
    coupon-redeemed en-IN
      Dear member, your coupon AAA11111 was used on 03 Jan 2027. If this was not you, please tell us. Acme
    coupon-redeemed hi-IN
      प्रिय सदस्य, आपका कूपन AAA11111 03 जन॰ 2027 को इस्तेमाल हुआ। Acme
    milestone-achieved en-IN
      Well done Asha, you have reached your goal: Three visits in May. Acme
    points-expired en-IN
      Dear member, 20 points of your membership expired. Every purchase brings you new ones. Acme
    points-expired hi-IN
      प्रिय सदस्य, आपके 20 अंक समाप्त हो गए हैं। हर खरीदारी पर नए अंक मिलते हैं। Acme
    points-expiring en-IN
      Dear member, you have 1 point that will expire on 31 Jan 2027. Acme
    points-expiring hi-IN
      प्रिय सदस्य, आपके 1 अंक 31 जन॰ 2027 को समाप्त होंगे। Acme
    points-issued en-IN
      Dear member, you earned 1 point. Your balance is now 27.5. Acme
    points-issued hi-IN
      प्रिय सदस्य, आपको 1 अंक मिले। अब आपके पास कुल 27.5 अंक हैं। Acme
    points-received en-IN
      Dear member, you received 1 point from another member on 03 Jan 2027. Acme
    points-received hi-IN
      प्रिय सदस्य, 03 जन॰ 2027 को एक सदस्य ने आपको 1 अंक भेजे। Acme
    points-redeemed en-IN
      Dear member, you redeemed 1 point on 03 Jan 2027. If this was not you, please tell us. Acme
    points-redeemed hi-IN
      प्रिय सदस्य, आपने 03 जन॰ 2027 को 1 अंक इस्तेमाल किए। Acme
    points-restored en-IN
      Dear member, 1 point that you redeemed came back to your account. Acme
    points-restored hi-IN
      प्रिय सदस्य, आपके 1 अंक फिर से आपके खाते में हैं। Acme
    points-reversed en-IN
      Dear member, we took back 1 point after a return or correction. Your balance is now 0. Acme
    points-reversed hi-IN
      प्रिय सदस्य, वापसी या सुधार के कारण 1 अंक वापस लिए गए। अब आपके पास 0 अंक हैं। Acme
    points-sent en-IN
      Dear member, you sent 1 point to another member on 03 Jan 2027. If this was not you, please tell us. Acme
    points-sent hi-IN
      प्रिय सदस्य, आपने 03 जन॰ 2027 को एक सदस्य को 1 अंक भेजे। Acme
    purchase-returned en-IN
      Dear member, your return of 03 Jan 2027 is recorded. Points earned with it may be taken back. Acme
    purchase-returned hi-IN
      प्रिय सदस्य, 03 जन॰ 2027 की आपकी वापसी दर्ज हो गई है। इस पर मिले अंक वापस लिए जा सकते हैं। Acme
    purchase-thank-you en-IN
      Thank you Asha, we received your purchase of Rs. 79,056.50 on 03 Jan 2027. Acme
    registration-completed en-IN
      Dear member, your registration with Acme is complete. Member since 03 Jan 2027.
    registration-completed hi-IN
      प्रिय सदस्य, Acme के साथ आपका पंजीकरण 03 जन॰ 2027 को पूरा हो गया है।
    reward-issued en-IN
      Dear member, your reward is ready: see your account. Acme
    tier-downgrade-reminder en-IN
      Dear member, your membership tier is valid until 31 Mar 2027. What you buy until then counts. Acme
    tier-downgrade-reminder hi-IN
      प्रिय सदस्य, आपका सदस्यता स्तर 31 मार्च 2027 तक मान्य है। Acme
    tier-downgraded en-IN
      Dear member, your membership tier has changed: see your account. Acme
    tier-downgraded hi-IN
      प्रिय सदस्य, आपकी सदस्यता का स्तर बदल गया है: अपना खाता देखें। Acme
    tier-upgraded en-IN
      Congratulations Asha! Your new tier: Gold. Your new benefits are active. Acme
    tier-upgraded hi-IN
      बधाई हो Asha! आपका नया स्तर: Gold। आपके नए लाभ शुरू हो गए हैं। Acme
    welcome en-IN
      Hi Asha, welcome to Acme! Your membership is active: earn points every time you shop with us.
    welcome hi-IN
      नमस्ते Asha, Acme में आपका स्वागत है! आपकी सदस्यता शुरू हो गई है: हर खरीदारी पर अंक पाएँ।
    "#);
}
