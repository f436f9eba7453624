// The build of hls.js without subtitles, other sound tracks and DRM, which Marquee's streams don't have yet.
declare module "hls.js/light" {
  export * from "hls.js";
  export { default } from "hls.js";
}
