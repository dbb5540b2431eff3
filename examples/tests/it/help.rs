use super::row::{Row, row, rows};

rows! {
    bulk_shows_how_to_run_it => Row {
        args: &["--help"],
        tells: &["Usage: bulk", "always JSON", "Example: cargo run --example bulk -- "],
        ..row("bulk")
    };
    custom_provider_shows_how_to_run_it => Row {
        args: &["--help"],
        tells: &["Usage: custom_provider", "Example: cargo run --example custom_provider"],
        ..row("custom_provider")
    };
    delivery_reports_shows_how_to_run_it => Row {
        args: &["--help"],
        tells: &["Usage: delivery_reports", "always JSON", "RFC 3339", "Example: cargo run --example delivery_reports -- "],
        ..row("delivery_reports")
    };
    failover_shows_how_to_run_it => Row {
        args: &["--help"],
        tells: &["Usage: failover", "Example: cargo run --example failover"],
        ..row("failover")
    };
    numbers_shows_how_to_run_it => Row {
        args: &["--help"],
        tells: &["Usage: numbers", "always JSON", "cargo run --example numbers"],
        ..row("numbers")
    };
    onboarding_shows_how_to_run_it => Row {
        args: &["--help"],
        tells: &["Usage: onboarding", "Example: cargo run --example onboarding -- "],
        ..row("onboarding")
    };
    segments_shows_how_to_run_it => Row {
        args: &["--help"],
        tells: &["Usage: segments", "always JSON", "Example: cargo run --example segments -- "],
        ..row("segments")
    };
    send_shows_how_to_run_it => Row {
        args: &["--help"],
        tells: &["Usage: send", "RFC 3339", "at most 32 letters and digits", "Example: cargo run --example send -- "],
        ..row("send")
    };
    swap_shows_how_to_run_it => Row {
        args: &["--help"],
        tells: &["Usage: swap", "Example: cargo run -p postduif-examples --example swap"],
        ..row("swap")
    };
}
