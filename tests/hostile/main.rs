mod frames;
mod http2;
mod peer;
mod scene;
mod support;
