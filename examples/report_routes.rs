//! `cargo run --example report_routes`: a web service that receives a vendor's delivery reports, with axum.
//!
//! It shows one parser without any store. `postduif::webhooks::Reports` (features `webhooks` and `axum`) has the routes
//! for several vendors, and `postduif::LatestReports` keeps the latest status of each message.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, sync::Arc, time::SystemTime};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, OriginalUri, State},
    http::{HeaderMap, Method, StatusCode},
    routing::any,
};
use postduif::{Message, ReportParser, ReportRequest, Settings, Text};
use postduif_sandbox::{ReportOrder, ReportStatus, Sandbox};

struct App {
    /// Scheme and host of the public URL, as the vendor knows it.
    origin: String,
    parser: Arc<dyn ReportParser>,
}

async fn reports(
    State(app): State<Arc<App>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let target = uri.to_string();
    let request = ReportRequest::from_http(&app.origin, method.as_str(), &target, &headers, &body);
    let result = app.parser.parse(&request, SystemTime::now().into());
    match &result {
        // Store them here, and respond 503 where that fails.
        Ok(reports) => reports.iter().for_each(|report| println!("{report:?}")),
        Err(error) => println!("refused: {error}"),
    }
    let (status, text) = app.parser.reply(&result);
    (
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        text,
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // In place of a vendor.
    let sandbox = Sandbox::start().await;
    let url = format!("{}&report_secret=sandbox", sandbox.sms_url("smstools"));
    let settings = Settings::from_url(&url)?;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let app = App {
        origin: origin.clone(),
        parser: settings.reports()?,
    };
    let router = Router::new()
        .route("/reports/smstools", any(reports))
        .layer(DefaultBodyLimit::max(1_000_000))
        .with_state(Arc::new(app));
    tokio::spawn(async { axum::serve(listener, router).await });

    let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
    let receipt = settings.open()?.send(&message).await?;
    println!("sent: {}", receipt.reference());
    let order = ReportOrder::new(receipt.reference().as_str(), ReportStatus::Delivered);
    let status = sandbox
        .deliver_report(&order, &format!("{origin}/reports/smstools"))
        .await?;
    println!("responded: {status:?}");
    Ok(())
}
