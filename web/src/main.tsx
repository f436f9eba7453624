import { render } from "preact";
import { App } from "./app";
import { startRouting } from "./router";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/cards.css";
import "./styles/forms.css";
import "./styles/sign.css";
import "./styles/player.css";
import "./styles/pages.css";

startRouting();
const root = document.getElementById("app");
if (root !== null) render(<App />, root);
