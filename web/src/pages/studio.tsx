// The creator's corner: one's channels, and opening a new one.
import { channels, who } from "../api/clients";
import { studioPath } from "../api/names";
import { uuid } from "../format/uuid";
import { Field } from "../parts/field";
import { useForm } from "../parts/form";
import { Trouble, useLoad, useTitle } from "../parts/loading";
import { Avatar } from "../parts/poster";
import { SignInFirst } from "../parts/sign-in-first";
import { go } from "../router";

export function StudioPage() {
  useTitle("Studio");
  const account = who.value;
  if (account === null) {
    return <SignInFirst why="In the studio you create a channel, schedule events and get the key for your encoder." />;
  }
  return <MyChannels owner={account.name} />;
}

function MyChannels({ owner }: { owner: string }) {
  const mine = useLoad(() => channels.listChannels({ owner, pageSize: 200 }), [owner]);
  const list = mine.data?.channels ?? [];
  return (
    <section class="narrow">
      <h1 class="page-title">Studio</h1>
      {mine.fault !== null && <Trouble fault={mine.fault} again={mine.again} />}
      {list.length > 0 && (
        <ul class="panel channel-list">
          {list.map((channel) => (
            <li key={channel.name}>
              <a class="channel-link" href={studioPath(channel.name)}>
                <Avatar name={channel.displayName} of={channel.name} />
                <span>
                  <strong>{channel.displayName}</strong>
                  <span class="quiet small">@{channel.handle}</span>
                </span>
              </a>
            </li>
          ))}
        </ul>
      )}
      {mine.data !== null && <NewChannel first={list.length === 0} />}
    </section>
  );
}

function NewChannel({ first }: { first: boolean }) {
  const form = useForm(async (text) => {
    const channel = { displayName: text("display_name"), handle: text("handle"), description: text("description") };
    const answer = await channels.createChannel({ channel, requestId: uuid() });
    if (answer.channel !== undefined) go(studioPath(answer.channel.name));
  });
  return (
    <details class="panel" open={first}>
      <summary>{first ? "Open your first channel" : "Open another channel"}</summary>
      <form class="form" onSubmit={form.onSubmit}>
        {form.fault !== null && (
          <p class="form-fault" role="alert">
            {form.fault.text}
          </p>
        )}
        <Field label="Name" name="display_name" required maxLength={100} fault={form.faultOf("display_name")} />
        <Field
          label="Handle"
          name="handle"
          required
          maxLength={30}
          hint="3 to 30 letters, digits, - or _, in lower case. It is the channel's address."
          autocapitalize="none"
          fault={form.faultOf("handle")}
        />
        <Field
          label="What it is about"
          name="description"
          rows={3}
          maxLength={5000}
          fault={form.faultOf("description")}
        />
        <button type="submit" class="button button-lit" disabled={form.busy}>
          Create channel
        </button>
      </form>
    </details>
  );
}
