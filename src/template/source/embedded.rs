//! The shipped templates, compiled in: a test compares this list with the folder.
//!
//! Promises: one binary is enough.
//! Never: a file read from a working directory.

macro_rules! embed {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $path)))),*]
    };
}

/// Every shipped file by its path within the folder.
pub(super) const EMBEDDED: &[(&str, &str)] = embed![
    "_layouts/brand.mjml.hbs",
    "_partials/big.mjml.hbs",
    "_partials/button.mjml.hbs",
    "_partials/gap.mjml.hbs",
    "_partials/heading.mjml.hbs",
    "_partials/row.mjml.hbs",
    "_partials/step.mjml.hbs",
    "_tables/stores.csv",
    "coupon-issued/email.mjml.hbs",
    "coupon-issued/examples/single.json",
    "coupon-issued/examples/two.json",
    "coupon-issued/template.toml",
    "points-issued/email.mjml.hbs",
    "points-issued/examples/one-point.json",
    "points-issued/examples/regular.json",
    "points-issued/template.toml",
    "purchase-thank-you/email.mjml.hbs",
    "purchase-thank-you/examples/regular.json",
    "purchase-thank-you/examples/rupiah.json",
    "purchase-thank-you/template.toml",
    "tier-upgraded/email.mjml.hbs",
    "tier-upgraded/examples/for-ever.json",
    "tier-upgraded/examples/one-year.json",
    "tier-upgraded/template.toml",
    "welcome/email.mjml.hbs",
    "welcome/examples/named.json",
    "welcome/examples/no-name.json",
    "welcome/template.toml",
];
