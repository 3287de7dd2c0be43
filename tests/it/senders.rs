//! Senders as they come: slow, idle, broken, too large, smuggling, guessing, far too many; beside them one who sends as he should.
//!
//! Promises: the real binary over real sockets; what was acknowledged is journalled, once, and nothing else is; the one who sends as
//! he should is served or told when to come again; a person planted in whatever is sent is in no answer and no line of the log.
//! Never: a time that must be kept, but for bounds that follow from how long the test itself saw it take.

mod bodies;
mod crowd;
mod guess;
mod heads;
mod overload;
mod shapes;
mod slow;
mod speak;
