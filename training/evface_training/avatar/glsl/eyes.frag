uniform sampler2D paint;    // square roots of reflectance, and gloss
in vec3 at, normal, rest;
in vec4 spot;

uniform vec4 eye_shape;     // x of the centre, half width, height, slope
uniform vec3 eyeball;       // z of the centre, radius, radius of the iris
uniform vec4 lids;          // blink right, left, squint right, left
uniform vec3 gaze;          // unit, right and left alike
uniform vec3 iris_color;
uniform float lashes;
float arch(float s, float skew) {
    s = clamp(s, -1.0, 1.0);
    float moved = s - skew * (1.0 - s * s);
    return pow(max(1.0 - moved * moved, 0.0), 0.85);
}

vec3 eyeball_color(vec3 c, float upper, float lower, float s) {
    vec3 ray = normalize(at - eye_point), to = at - c;
    float b = dot(ray, to), disc = b * b - dot(to, to) + eyeball.y * eyeball.y;
    vec3 p = at + ray * (-b - sqrt(max(disc, 0.0)));
    vec3 n = normalize(p - c);
    float d = eyeball.y * acos(clamp(dot(n, gaze), -1.0, 1.0));
    float blur = clamp(fwidth(d) * 0.6, 0.05, 1.5);
    vec3 side = normalize(cross(gaze, vec3(0.0, 1.0, 0.0)));
    float turn = atan(dot(n, cross(side, gaze)), dot(n, side));
    float fibre = 0.8 + 0.16 * sin(turn * 23.0 + 2.0 * sin(turn * 7.0)) + 0.14 * sin(turn * 41.0);
    vec3 iris = iris_color * fibre * mix(1.35, 0.8, smoothstep(2.2, 5.0, d));
    iris = mix(iris, iris_color * 0.25, smoothstep(4.7, 5.7, d));
    iris = mix(vec3(0.004), iris, smoothstep(2.1 - blur, 2.1 + blur, d));
    vec3 white = vec3(0.66, 0.61, 0.58) * mix(1.0, 0.82, smoothstep(8.0, 15.0, d));
    vec3 color = mix(iris, white, smoothstep(eyeball.z - blur, eyeball.z + blur, d));
    vec3 pink = vec3(0.45, 0.20, 0.17);
    float inner = 1.0 - smoothstep(-0.97, -0.84, s), outer = smoothstep(0.9, 1.0, s);
    color = mix(color, pink, max(inner, 0.6 * outer));
    float miss = (1.0 - smoothstep(-4.0, 4.0, disc));
    n = normalize(mix(n, vec3(0.0, 0.0, 1.0), miss));
    float open = mix(0.30, 1.0, smoothstep(0.0, 3.6, upper));
    open *= mix(0.7, 1.0, smoothstep(0.0, 1.0, lower));
    open *= mix(0.62, 1.0, (1.0 - smoothstep(0.6, 1.0, abs(s))));
    vec3 shaded = shade(color, n, p, open, 0.02);
    vec3 cornea = normalize(p - (c + 5.8 * gaze));
    vec3 h = normalize(lamp + normalize(eye_point - p));
    float wet = power16(max(dot(mix(n, cornea, (1.0 - smoothstep(5.0, 7.0, d))), h), 0.0));
    wet *= wet; wet *= wet; wet *= wet;
    shaded *= mix(0.5, 1.0, smoothstep(0.0, 3.0, upper));
    return shaded + key * 1.2 * wet * smoothstep(0.2, 1.2, upper);
}

void main() {
    vec3 n = normalize(normal);
    vec4 texel = texture(paint, spot.xy);
    vec3 albedo = texel.rgb * texel.rgb;
    float open = spot.z;
    bool left = rest.x > 0.0;
    float s = (abs(rest.x) - eye_shape.x) / eye_shape.y;
    float axis = s * eye_shape.y * eye_shape.w - 1.2;
    float y = rest.y - axis;
    float blink = left ? lids.y : lids.x, squint = left ? lids.w : lids.z;
    float shut_line = -0.30 * eye_shape.z * arch(s, 0.1);
    float upper_open = 0.55 * eye_shape.z * arch(s, -0.12);
    float lower_open = -0.43 * eye_shape.z * arch(s, 0.14);
    float upper = mix(upper_open, shut_line, blink);
    float lower = mix(lower_open, shut_line, max(blink, squint));
    upper = max(upper, lower);
    float pixel = clamp(fwidth(rest.y) + 0.3 * fwidth(rest.x), 0.02, 3.0);
    float inside_y = min(upper - y, y - lower);
    float within = 1.0 - smoothstep(0.985, 1.0 + 0.6 * pixel / eye_shape.y, abs(s));
    float seen = smoothstep(-0.55, 0.55, inside_y / pixel) * within;
    // Skin of the lids: the fold, a dark root of the lashes, a pale wet rim below.
    float span = exp(-pow(abs(s) / 1.12, 6.0));
    float outer = smoothstep(-1.0, 0.8, s);
    float fold_y = upper_open + 1.6 + 2.6 * arch(s * 0.86, 0.15);
    float fold = exp(-pow((y - fold_y) / (0.75 + 0.4 * pixel), 2.0)) * span * mix(0.5, 0.2, blink);
    float below = 0.22 * exp(-pow((y - lower + 3.4) / 1.1, 2.0)) * span;
    albedo *= 1.0 - fold - below;
    float root = mix(0.6, 1.6, outer) * (0.7 + 0.6 * lashes);
    float over = (y - upper) / (root + 0.45 * pixel);
    float upper_lash = exp(-over * over * (over > 0.0 ? 1.0 : 2.5)) * span
        * (1.0 - smoothstep(0.98, 1.16, abs(s))) * (1.2 + 0.5 * lashes);
    float under = (y - lower + 0.5) / (0.5 + 0.45 * pixel);
    float lower_lash = exp(-under * under) * span * (1.0 - smoothstep(0.95, 1.1, abs(s)))
        * (0.35 + 0.5 * lashes) * mix(0.5, 1.0, outer);
    vec3 hair = vec3(0.012, 0.009, 0.008);
    albedo = mix(albedo, hair, clamp(max(upper_lash, lower_lash), 0.0, 0.97));
    vec3 color = shade(albedo, n, at, open, 0.3 * texel.a);
    if (seen > 0.0) {
        vec3 c = vec3(left ? eye_shape.x : -eye_shape.x, 0.0, eyeball.x);
        vec3 ball = eyeball_color(c, upper - y, y - lower, s);
        float dark = exp(-pow((upper - y) / (0.35 + 0.4 * pixel), 2.0)) * (0.5 + 0.4 * lashes);
        color = mix(color, mix(ball, hair * 0.5, dark), seen);
    }
    result = shown(color);
}
