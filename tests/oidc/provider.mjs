// A real OpenID Connect provider on a port of this machine, for the tests:
//   node provider.mjs [ALG [LIE]]
// Prints its issuer URL once it listens, and ends when its standard input does. People sign in with any
// name and no password; "NAME" has the address NAME@example.org, verified unless it starts with
// "unverified". LIE makes it say what no issuer should: "key", "nonce", "audience", "expired",
// "issuer" (in the discovery document), "html" (in its place), "big" (a key set without end). With
// "devices" it is honest, and puts the nonce into devices' tokens too, as not every provider does; with
// "basic" and "post" as well, and its client has a secret, to be sent in that way and no other; with
// "public" it says that it knows no way to send one; with "brief" tokens end within a minute.
import crypto from 'node:crypto';
import http from 'node:http';
import { SignJWT, decodeJwt, decodeProtectedHeader } from 'jose';
import { Provider } from 'oidc-provider';

const alg = process.argv[2] ?? 'RS256';
const lie = process.argv[3] ?? '';
const confidential = { basic: 'client_secret_basic', post: 'client_secret_post' }[lie];
const limited = confidential || lie === 'public';

function keyPair() {
  switch (alg) {
    case 'RS256': return crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
    case 'ES256': return crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
    case 'EdDSA': return crypto.generateKeyPairSync('ed25519');
    default: throw new Error(`no key for ${alg}`);
  }
}
const { privateKey } = keyPair();
const { publicKey: anotherKey } = keyPair();
const jwk = { ...privateKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg };

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'pillion',
      application_type: 'native',
      token_endpoint_auth_method: confidential ?? 'none',
      ...(confidential && { client_secret: 'for: tests/only +100%' }),
      redirect_uris: ['http://127.0.0.1/callback'],
      response_types: ['code'],
      grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
      id_token_signed_response_alg: alg,
    }],
    ...(limited && { clientAuthMethods: [confidential ?? 'none'] }),
    jwks: { keys: [jwk] },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA'] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    features: {
      claimsParameter: { enabled: true },
      deviceFlow: { enabled: true },
      devInteractions: { enabled: true },
    },
    cookies: { keys: ['for tests only'] },
    ttl: { IdToken: lie === 'brief' ? 50 : 3600, Session: 3600, Grant: 3600, Interaction: 3600, AccessToken: 3600, DeviceCode: 600 },
    findAccount: (_ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.org`, email_verified: !id.startsWith('unverified') }),
    }),
  });
  provider.use(async (ctx, next) => {
    await next();
    const route = ctx.oidc?.route;
    if (route === 'discovery' && lie === 'issuer') {
      ctx.body = { ...ctx.body, issuer: 'https://issuer.example' };
    } else if (route === 'discovery' && lie === 'html') {
      ctx.type = 'html';
      ctx.body = '<!doctype html><p>Welcome';
    } else if (route === 'jwks' && lie === 'key') {
      ctx.body = { keys: [{ ...anotherKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg }] };
    } else if (route === 'jwks' && lie === 'big') {
      ctx.body = JSON.stringify({ keys: [], more: 'x'.repeat(1 << 20) });
    } else if (route === 'token' && ctx.body?.id_token) {
      const token = decodeJwt(ctx.body.id_token);
      if (lie === 'devices' || confidential) token.nonce ??= ctx.oidc.entities.DeviceCode.params.nonce;
      if (lie === 'nonce') token.nonce = 'another';
      if (lie === 'audience') token.aud = 'another';
      if (lie === 'expired') token.exp = token.iat - 3600;
      ctx.body = {
        ...ctx.body,
        id_token: await new SignJWT(token)
          .setProtectedHeader(decodeProtectedHeader(ctx.body.id_token))
          .sign(privateKey),
      };
    }
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
process.stdin.on('end', () => process.exit(0)).resume();
