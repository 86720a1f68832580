in vec3 at, normal;
in vec4 paint;
in float gloss;
void main() {
    vec3 n = normalize(normal);
    if (!gl_FrontFacing) n = -n;
    result = shown(shade(paint.rgb, n, at, paint.a, gloss));
}
