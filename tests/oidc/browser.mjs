// A browser without a screen, for the tests: opens the address, signs in with the name in LOGIN,
// consents, and follows where it is led until nothing leads on. With LOGIN empty it declines.
//   LOGIN=anna node browser.mjs URL [USER_CODE]
const [, , start, userCode] = process.argv;
const login = process.env.LOGIN ?? '';
const jar = new Map();

async function open(url, form) {
  for (let hops = 0; hops < 20; hops += 1) {
    const answer = await fetch(url, {
      method: form ? 'POST' : 'GET',
      body: form && new URLSearchParams(form),
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
      redirect: 'manual',
    });
    for (const cookie of answer.headers.getSetCookie()) {
      const [pair] = cookie.split(';');
      const at = pair.indexOf('=');
      jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const to = answer.headers.get('location');
    if (!to) return { url, status: answer.status, text: await answer.text() };
    url = new URL(to, url).href;
    form = undefined;
  }
  throw new Error('led on and on');
}

/** The hidden fields of a page's form. */
const fields = (text) => Object.fromEntries(
  [...text.matchAll(/<input[^>]*type="hidden"[^>]*>/g)].map(([input]) => [
    input.match(/name="([^"]*)"/)?.[1], input.match(/value="([^"]*)"/)?.[1] ?? '',
  ]),
);

let page = await open(start);
if (userCode) page = await open(page.url, { ...fields(page.text), user_code: userCode });
if (userCode) page = await open(page.url, { ...fields(page.text), user_code: userCode, confirm: 'yes' });
for (let steps = 0; steps < 5 && page.url.includes('/interaction/'); steps += 1) {
  if (login === '') {
    page = await open(`${page.url}/abort`);
  } else {
    const { prompt } = fields(page.text);
    page = await open(page.url, prompt === 'login' ? { prompt, login, password: 'x' } : { prompt });
  }
}
if (page.status >= 400) throw new Error(`${page.status} at ${page.url}: ${page.text.slice(0, 500)}`);
