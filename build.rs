//! Builds the seam to the server. Without feature `kamailio` there is nothing to do.

#[cfg(feature = "kamailio")]
#[path = "kamailio-glue/build/mod.rs"]
mod seam;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "kamailio")]
    if let Err(why) = seam::build() {
        println!("cargo::error={}", why.replace('\n', " "));
    }
}
