//! The binary; its commands come with the rooms they need.

fn main() {}
